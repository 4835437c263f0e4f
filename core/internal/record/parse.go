package record

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A Parser reads the texts of records. It remembers how one of them began, because
// most sessions of an app begin alike, with the member cookie: to compare that is
// quicker than to read it. What is remembered changes nothing but the time that
// reading takes. Many goroutines may use a Parser at once; the zero value is ready.
type Parser struct {
	// head is what is remembered, and nil at first.
	head atomic.Pointer[head]

	// misses counts the texts that began in another way, as far as they could have
	// been one of those whose head is remembered.
	misses atomic.Uint32
}

const (
	// headEvery is after how many misses another head is remembered. An app may have
	// sessions of several kinds, or a new configuration: to remember each would cost
	// more than it saves.
	headEvery = 64

	// maxHead is the length of the longest head that is remembered, in bytes.
	maxHead = 512
)

// A head is the beginning of a text, up to and with the comma behind the member
// cookie. That member has no max age and no expiry, because one that has is another
// each time.
type head struct {
	text []byte

	// cookie is that member. It stands at the same place in every text that begins
	// with this one.
	cookie jsontext.Member
}

// Parse returns the document of rec, whose text was unsealed. configured is the max
// age that the configuration gives. The error is [ErrUndecodable], for a text that is
// no object.
func (p *Parser) Parse(rec store.Record, text []byte, configured time.Duration) (*Document, error) {
	d := &Document{Record: rec, Text: text}
	// Behind a known head the rest is read as it would have been, so that whatever
	// is wrong with it is found.
	known := p.head.Load()
	var ok bool
	if known != nil && len(text) <= jsontext.MaxText && bytes.HasPrefix(text, known.text) {
		d.members, ok = jsontext.ScanMembers(text, jsontext.SkipSpace(text, len(known.text)), append(d.few[:0], known.cookie))
	} else {
		known = nil
		d.members, ok = jsontext.Scan(text, d.few[:0])
	}
	if !ok {
		return nil, ErrUndecodable
	}
	// Of several members of one name the last one counts, for Express too. So a known
	// head tells about the member cookie only where that is the last of them.
	if raw := jsontext.Find(text, d.members, metaMember); raw != nil {
		d.Meta = parseMeta(raw)
	}
	var found time.Duration
	i := jsontext.Last(text, d.members, cookieMember)
	if d.Bare = i == 0 && known != nil; i >= 0 && !d.Bare {
		found = CookieMaxAge(d.value(i))
		if i == 0 && found == 0 && p.misses.Add(1)%headEvery == 1 {
			p.remember(d)
		}
	}
	d.Age = ageOf(d.Meta, found, configured)
	d.whole = true
	return d, nil
}

// ageOf returns the max age of a session from what the member __cloakroom says of
// it, what was found in the member cookie, and what the configuration gives.
func ageOf(m Meta, found, configured time.Duration) Age {
	// What was written here last tells whether the max age follows from the
	// configuration: with that it changes, and one of the session's own does not. For
	// a session that only Express wrote, a max age that is not the configured one is
	// the session's own.
	age := m.Age
	if !m.Present {
		age = Age{Own: found > 0 && !near(found, configured), Max: found}
	} else if !near(found, m.Age.Max) { // Express changed it.
		age = Age{Own: true, Max: found}
	}
	if !age.Own {
		age.Max = configured
	}
	return age
}

// remember keeps the head of d, whose first member is a cookie without a max age,
// for the texts to come. It is a copy, because the text may be a large one.
func (p *Parser) remember(d *Document) {
	first := d.members[0]
	end := jsontext.SkipSpace(d.Text, int(first.ValueEnd))
	if end < maxHead && d.Text[end] == ',' && isBare(d.value(0)) {
		p.head.Store(&head{bytes.Clone(d.Text[:end+1]), first})
	}
}

// isBare reports whether the member cookie is an object without a max age and
// without an expiry.
func isBare(cookie []byte) bool {
	// Express writes nine members at most.
	var buf [12]jsontext.Member
	members, ok := jsontext.Scan(cookie, buf[:0])
	return ok && isNone(jsontext.Find(cookie, members, "originalMaxAge")) && isNone(jsontext.Find(cookie, members, "expires"))
}

// sameAge is how far apart two max ages may be and count as equal: express-session
// loses a millisecond now and then when it writes one.
const sameAge = time.Second

// near reports whether two max ages count as equal. One that is none and one that
// is short never do.
func near(a, b time.Duration) bool {
	return (a > 0) == (b > 0) && (a-b).Abs() <= sameAge
}
