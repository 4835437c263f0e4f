package interleavings

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// This file says what two requests may do to each other: a small model in which
// one thing happens after the other. A request
//
//   - starts: the browser sends the cookie that it has then,
//   - looks: its session is what is stored under that cookie's id at that moment,
//   - acts at once, where it destroys the session or takes a value,
//   - commits: its changes are put on what is stored at that moment, or none of
//     them where the session has ended; a cookie that the browser has already is
//     sent again only where the session still has that id,
//   - and its answer arrives: the browser keeps the cookie that it brings.
//
// A session that was given another id goes on under that one, and whoever destroys
// it destroys it there. Where that was by the clock alone, other requests with the old id
// read and change it there, too, and get no cookie. What the store refuses leaves everything as it was.
//
// Where an extension of the session's life is due, that happens at any time
// between. Each of these steps is a single one, and the steps of two requests
// come in any order. What can come of that is what is allowed, and nothing else.

// An id is a session's.
type id int

const (
	none     id = iota
	original    // of the session that both requests are about
	firsts      // of the session that the first request makes, if it makes one
	seconds     // and the second
)

var ids = [...]string{"none", "S", "S1", "S2"}

func (i id) String() string { return ids[i] }

// data is what a session holds.
type data struct {
	n                          int // counts
	same                       string
	key1, key2                 string // of the first and of the second request
	user, ticket, flash, extra string // extra: what must not be there
	old                        string // set where it is the original session's
}

// A record is what is stored under an id.
type record struct {
	life  life
	data  data
	fresh bool // its life was extended

	rotated bool // it is retired, by the clock alone
}

type life int

const (
	absent  life = iota
	live         // a session
	retired      // the id was given up for another one; no data
)

// A request is one of two.
type request struct {
	cookie  id   // that it was sent with
	former  bool // signed with a secret that is not the first any more
	found   bool // a session, with
	seen    data // this in it
	retired bool // or an id that was given up
	led     bool // the session has another id, because it was rotated
	done    int  // how many of its steps
	extends bool // an extension is due and not done
	lost    bool // it was done, and found that the session has ended
	gone    bool // what it did at once found that the session has ended, or moved on before

	answer
}

// An answer is what the client gets.
type answer struct {
	status int
	body   string
	cookie setCookie
}

// A setCookie is what an answer does to the browser's cookie: nothing, delete it,
// or set it to an id.
type setCookie int

const (
	keeps   setCookie = iota
	deletes           // and from here on: sets + id
	sets
)

// A world is all there is: what is stored, what the browser has, and how far the
// requests are.
type world struct {
	stored   [len(ids)]record
	next     [len(ids)]id // which id took the place of one that is retired
	browser  id
	former   bool // its cookie is signed with a secret that is not the first any more
	rolling  bool // every answer sends the cookie of its session again
	requests [2]request
	order    order
}

// An order reports whether one was over before the other began.
type order int

const (
	together order = iota
	firstFirst
	secondFirst
)

// An outcome is what is left when both requests are over.
type outcome struct {
	stored  [len(ids)]record
	browser id
	answers [2]answer
	order   order
	other   bool    // the session in ann's other browser lives, where she has one
	former  [2]bool // they have signed in by a password that was changed before her sessions were ended
}

func (w world) outcome() outcome {
	for i := range w.stored {
		w.stored[i].rotated = false // which nobody sees
	}
	return outcome{stored: w.stored, browser: w.browser, answers: [2]answer{w.requests[0].answer, w.requests[1].answer}, order: w.order}
}

// apart returns the outcome without the order.
func (o outcome) apart() outcome {
	o.order = together
	return o
}

func (o outcome) String() string {
	var s strings.Builder
	for i, a := range o.answers {
		fmt.Fprintf(&s, "%d: %v; ", i+1, a)
	}
	s.WriteString([...]string{"together", "1 first", "2 first"}[o.order])
	fmt.Fprintf(&s, "; the browser has %v; stored:", o.browser)
	for i, r := range o.stored {
		switch r.life {
		case retired:
			fmt.Fprintf(&s, " %v retired", id(i))
		case live:
			fmt.Fprintf(&s, " %v%+v", id(i), r.data)
			if !r.fresh {
				s.WriteString(" not extended")
			}
		}
	}
	return s.String()
}

func (a answer) String() string {
	s := fmt.Sprintf("%d %q", a.status, a.body)
	switch {
	case a.cookie == deletes:
		s += ", cookie deleted"
	case a.cookie >= sets:
		s += fmt.Sprintf(", cookie %v", id(a.cookie-sets))
	}
	return s
}

// A step is one thing that happens. Where the model leaves open what, it returns
// one world for each.
type step func(w world, who int) []world

// only makes a step of what leaves nothing open.
func only(do func(w *world, r *request, who int)) step {
	return func(w world, who int) []world {
		do(&w, &w.requests[who], who)
		return []world{w}
	}
}

var start = only(func(w *world, r *request, _ int) { r.cookie, r.former = w.browser, w.former })

// startWithout is that of a visitor whose browser had no cookie then.
var startWithout = only(func(_ *world, r *request, _ int) { r.cookie = none })

// startOutside is that of what is no request.
var startOutside = only(func(*world, *request, int) {})

var look = only(func(w *world, r *request, _ int) {
	at := w.follow(r.cookie)
	rec := w.stored[at]
	r.found = rec.life == live
	r.retired = !r.found && w.stored[r.cookie].life == retired
	if r.found {
		r.seen, r.led = rec.data, at != r.cookie
	}
})

// follow returns the id under which a request with another one finds its session.
func (w *world) follow(at id) id {
	for w.stored[at].rotated {
		at = w.next[at]
	}
	return at
}

// extend is beside the other steps, where it is due.
func extend(w world, who int) world {
	r := &w.requests[who]
	switch rec := &w.stored[r.cookie]; rec.life {
	case live:
		rec.fresh = true
	case absent:
		r.lost = true
	}
	r.extends = false
	return w
}

var arrive = only(func(w *world, r *request, _ int) {
	switch {
	case r.answer.cookie == deletes:
		w.browser = none
	case r.answer.cookie >= sets:
		w.browser, w.former = id(r.answer.cookie-sets), false
	}
})

func (r *request) ok(body any) { r.status, r.body = http.StatusOK, fmt.Sprint(body) }

// refuse says that the session has ended.
func (r *request) refuse() { r.answer = answer{status: http.StatusConflict} }

// fail says that the store has refused something, unless the extension has found that
// the session has ended: then nothing more is asked of the store.
func (r *request) fail() {
	if r.found && r.lost {
		r.refuse()
		return
	}
	r.answer = answer{status: http.StatusServiceUnavailable}
}

// own returns the id of the session that a request makes.
func own(who int) id { return firsts + id(who) }

// reads is the commit of a request that changes nothing.
func reads(body func(seen data) any) step {
	return only(func(w *world, r *request, _ int) {
		if r.gone {
			r.refuse()
			return
		}
		w.sendAgain(r)
		r.ok(body(r.seen))
	})
}

// sendAgain sets the cookie of a session that was found, where that is to be done
// and the session still has that id: else the browser may have a newer cookie.
func (w *world) sendAgain(r *request) {
	if r.found && (w.rolling || r.former) && w.stored[r.cookie].life == live {
		r.answer.cookie = sets + setCookie(r.cookie)
	}
}

// changes is the commit of a request that changes its session, or makes one where
// there is none. The body is from what the request has seen.
func changes(change func(d *data, r *request, who int), body func(seen data) any) step {
	return only(func(w *world, r *request, who int) {
		rec := &w.stored[w.follow(r.cookie)]
		switch {
		case r.found && rec.life == live:
			change(&rec.data, r, who)
			rec.fresh = true
			w.sendAgain(r)
		case r.found, r.retired:
			r.refuse()
			return
		default:
			w.make(r, who, data{}, func(d *data) { change(d, r, who) })
		}
		r.ok(body(r.seen))
	})
}

// make stores a new session and sets its cookie.
func (w *world) make(r *request, who int, d data, change func(d *data)) {
	change(&d)
	w.stored[own(who)] = record{life: live, data: d, fresh: true}
	r.answer.cookie = sets + setCookie(own(who))
}

// renews is the commit of a request that gives its session a new id, with what is
// stored or without.
func renews(keep bool) step {
	return only(func(w *world, r *request, who int) {
		rec := &w.stored[r.cookie]
		switch {
		case r.found && rec.life == live:
			w.moveOn(r, who, keep)
		case r.found, r.retired:
			r.refuse()
		default:
			w.signIn(r, who, data{})
		}
	})
}

// rotates is the commit of a request that gives its session a new id by the clock. Where
// another one did so in the meantime, there is nothing left to do but its changes.
var rotates = only(func(w *world, r *request, who int) {
	rec := &w.stored[w.follow(r.cookie)]
	switch {
	case r.found && w.stored[r.cookie].life == live:
		w.moveOn(r, who, true)
		w.stored[r.cookie].rotated = true
	case r.found && rec.life == live:
		rec.data.user = name(who)
		r.ok("ok")
	case r.found, r.retired:
		r.refuse()
	default:
		w.signIn(r, who, data{})
	}
})

// signsIn is the commit of a request that signs somebody in. Where its session has
// moved on, it begins one of its own, which has nothing of the other. Only where
// somebody has ended the session is it refused.
var signsIn = only(func(w *world, r *request, who int) {
	rec := &w.stored[r.cookie]
	switch {
	case r.found && rec.life == live:
		w.moveOn(r, who, true)
	case r.found && rec.life == absent:
		r.refuse()
	default:
		w.signIn(r, who, data{})
	}
})

// moveOn gives the session of a request a new id.
func (w *world) moveOn(r *request, who int, keep bool) {
	rec := &w.stored[r.cookie]
	var d data
	if keep {
		d = rec.data
	}
	*rec, w.next[r.cookie] = record{life: retired}, own(who)
	w.signIn(r, who, d)
}

// signIn stores a session whose user is who.
func (w *world) signIn(r *request, who int, d data) {
	w.make(r, who, d, func(d *data) { d.user = name(who) })
	r.ok("ok")
}

// fails is the commit of a request whose first write the store refuses.
var fails = only(func(_ *world, r *request, _ int) { r.fail() })

// failsToRetire is the commit of a request that signs somebody in, where the store
// refuses to have the old id retired. Without an old id there is nothing to refuse.
var failsToRetire = only(func(w *world, r *request, who int) {
	if r.found && !r.led {
		r.fail()
		return
	}
	w.signIn(r, who, data{})
})

// failsToList is the commit of a request that renews the session of a user, where
// the store refuses to have the list changed. The session of a new visitor is in no
// list.
var failsToList = only(func(w *world, r *request, who int) {
	switch {
	case r.found:
		r.fail()
	case r.retired:
		r.refuse()
	default:
		w.signIn(r, who, data{})
	}
})

// destroys is done at once, whatever else the session holds by then and wherever it
// has moved to since the request looked; the id that it had stays retired. Where
// another request has ended it in the meantime, there is nothing left to end. A
// request that came with a retired id is told that it has ended nothing.
var destroys = only(func(w *world, r *request, _ int) {
	switch {
	case r.retired:
		r.gone = true
	case r.cookie == none:
	case !r.found || w.end(r.cookie):
		r.answer.cookie = deletes
	}
})

// end ends a session wherever it has moved to, and reports whether it lived.
func (w *world) end(at id) (lived bool) {
	for w.stored[at].life == retired {
		at = w.next[at]
	}
	lived = w.stored[at].life == live
	if lived {
		w.stored[at] = record{}
	}
	return lived
}

// takes is done at once.
var takes = only(func(w *world, r *request, _ int) {
	rec := &w.stored[w.follow(r.cookie)]
	switch {
	case r.retired:
		r.gone = true
	case !r.found || r.seen.ticket == "":
		r.seen.ticket = ""
	case rec.life != live:
		r.gone = true
	default:
		r.seen.ticket = rec.data.ticket
		if rec.data.ticket != "" {
			rec.data.ticket, rec.fresh = "", true
		}
	}
})

// expires is the passing of time in which nothing else happens.
var expires = only(func(w *world, _ *request, _ int) { w.stored = [len(ids)]record{} })

// revokes ends the session from outside of its requests, whether or not it is
// still the visitor's.
var revokes = only(func(w *world, _ *request, _ int) { w.stored[original] = record{} })

// looksOutside and revokesOutside are of Manager.Edit.
var looksOutside = only(func(w *world, r *request, _ int) { r.found = w.stored[original].life == live })

var revokesOutside = only(func(w *world, r *request, _ int) {
	if r.status = http.StatusNotFound; r.found {
		w.end(original)
		r.status = http.StatusOK
	}
})

// allowed returns what can come of two requests.
func allowed(first, second op, s setting) map[outcome]bool {
	due := s.timing != recent
	begin := begins(due)
	begin.rolling, begin.former = s.cookies == rolling, s.cookies == rotated
	steps := [2][]step{first.spec, second.spec}
	for i, o := range []op{first, second} {
		begin.requests[i].extends = due && o.isRequest()
	}
	all, seen := make(map[outcome]bool), make(map[world]bool)
	var from func(w world)
	from = func(w world) {
		if seen[w] {
			return
		}
		seen[w] = true
		over := true
		for who := range w.requests {
			r := &w.requests[who]
			left := len(steps[who]) - r.done
			if left > 1 || left == 1 && !r.extends {
				over = false
				w := w
				if r.done == 0 && answered(w.requests[1-who], steps[1-who]) {
					w.order = firstFirst + order(1-who)
				}
				for _, next := range steps[who][r.done](w, who) {
					next.requests[who].done++
					from(next)
				}
			}
			if r.extends && r.done > 0 {
				over = false
				from(extend(w, who))
			}
		}
		if over {
			all[w.outcome()] = true
		}
	}
	from(begin)
	return all
}

// answered reports whether all is done but that the answer arrives.
func answered(r request, steps []step) bool {
	return !r.extends && (r.done == len(steps) || r.done == len(steps)-1 && r.status != 0)
}

// begins is the world before the two requests.
func begins(due bool) world {
	w := world{browser: original}
	w.stored[original] = record{life: live, data: data{n: 1, same: "0", user: "ann", ticket: "T", flash: "hello", old: "yes"}, fresh: !due}
	return w
}

func name(who int) string { return string(rune('1' + who)) }

// without returns a list with commas between, less the messages of another.
func without(list, less string) string {
	left := strings.Split(list, ",")
	for m := range strings.SplitSeq(less, ",") {
		if i := slices.Index(left, m); i >= 0 {
			left = slices.Delete(left, i, i+1)
		}
	}
	return strings.Join(left, ",")
}
