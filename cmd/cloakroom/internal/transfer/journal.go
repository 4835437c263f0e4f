package transfer

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// A Journal knows what a copy has put into the target, so that the next pass, and the next
// run after a crash, can tell that from what the apps have put there. It is a file that
// grows by 25 bytes for each write, and has hashes in it: no ids and no data.
type Journal struct {
	mu      sync.Mutex
	file    *os.File
	out     *bufio.Writer
	entries map[uint64]entry
}

// An entry is what is known of one record.
type entry struct {
	done    uint64 // the hash of what was written; 0: nothing was, for all that is known
	intent  uint64 // of what is being written, or was when a run was ended; 0: nothing
	expires int64  // when that ends in the target, in Unix ms
}

const (
	kindIntent  = 'i' // a write is about to be sent
	kindDone    = 'd' // a record is in the target as it is in the source
	kindGone    = 'g' // a record was removed from the target
	recordBytes = 1 + 3*8

	// header is what a journal begins with: nothing is cut off in another file.
	header = "cloakroom copy journal 1\n"
)

var errNoJournal = errors.New("it is no journal of a copy")

// OpenJournal opens the journal in a file, which it makes where there is none, for its user
// alone. Two runs cannot have it at once.
func OpenJournal(name string) (*Journal, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's choice
	if err != nil {
		return nil, err
	}
	j := &Journal{file: file, entries: make(map[uint64]entry)}
	err = lock(file)
	if err == nil {
		err = j.read()
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("the journal cannot be used: %w", err)
	}
	j.out = bufio.NewWriter(file)
	return j, nil
}

// read reads what earlier runs have noted. What a crash has cut off at the end is dropped.
func (j *Journal) read() error {
	in := bufio.NewReader(j.file)
	began := make([]byte, len(header))
	switch n, err := io.ReadFull(in, began); {
	case !strings.HasPrefix(header, string(began[:n])):
		return errNoJournal
	case err != nil: // it is empty, or a crash has cut it off
		_, err = j.file.WriteAt([]byte(header), 0)
		if err == nil {
			_, err = j.file.Seek(int64(len(header)), io.SeekStart)
		}
		return err
	}
	var raw [recordBytes]byte
	whole := int64(len(header))
	for {
		_, err := io.ReadFull(in, raw[:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
		whole += recordBytes
		key, hash := binary.LittleEndian.Uint64(raw[1:]), binary.LittleEndian.Uint64(raw[9:])
		expires := int64(binary.LittleEndian.Uint64(raw[17:])) //nolint:gosec // it was one before
		e := j.entries[key]
		switch raw[0] {
		case kindIntent:
			e.intent = hash
			j.entries[key] = e
		case kindDone:
			j.entries[key] = entry{done: hash, expires: expires}
		case kindGone:
			delete(j.entries, key)
		default:
			return errNoJournal
		}
	}
	if err := j.file.Truncate(whole); err != nil {
		return err
	}
	_, err := j.file.Seek(whole, io.SeekStart)
	return err
}

// Len returns how many records are known to be in the target.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.entries)
}

// Close writes down what is known.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.out.Flush(), j.file.Close())
}

func (j *Journal) get(key uint64) entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.entries[key]
}

// A note is what the journal is told of a record.
type note struct {
	kind    byte
	key     uint64
	hash    uint64
	expires int64
}

// note notes something of records. It is in the file when it returns, though a crash of the
// machine may lose it.
func (j *Journal) note(notes ...note) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, n := range notes {
		e := j.entries[n.key]
		switch n.kind {
		case kindIntent:
			e.intent = n.hash
			j.entries[n.key] = e
		case kindDone:
			next := entry{done: n.hash, expires: n.expires}
			if e == next {
				continue
			}
			j.entries[n.key] = next
		case kindGone:
			delete(j.entries, n.key)
		}
		var raw [recordBytes]byte
		raw[0] = n.kind
		binary.LittleEndian.PutUint64(raw[1:], n.key)
		binary.LittleEndian.PutUint64(raw[9:], n.hash)
		binary.LittleEndian.PutUint64(raw[17:], uint64(n.expires)) //nolint:gosec // as bits
		_, _ = j.out.Write(raw[:])                                 // Flush tells
	}
	return j.out.Flush()
}

// isOurs reports whether what the target has under a key is what the copy put there.
func (e entry) isOurs(hash uint64) bool { return hash != 0 && (hash == e.done || hash == e.intent) }

// wasEnded reports whether a record that was in the target has been ended there by others:
// it is gone before its time.
func (e entry) wasEnded(now time.Time) bool {
	return e.done != 0 && e.intent == 0 && e.expires > now.UnixMilli()
}

// digest returns a hash that is never 0.
func digest(part string, data []byte) uint64 {
	h := sha256.New()
	_, _ = h.Write([]byte(part))
	_, _ = h.Write(data)
	return max(binary.LittleEndian.Uint64(h.Sum(nil)), 1)
}
