package faultproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// wire is the protocol of PostgreSQL, 3.0, without TLS. A command is all messages up to
// the one that asks for an answer, and a reply all of them up to the one that says that
// the server is ready.
type wire struct {
	verb func(statement string) string

	named map[string]string // statements that are prepared, by their names
}

// The types of messages, of the client and of the server, which have some in common.
const (
	bind      = 'B'
	parse     = 'P'
	query     = 'Q'
	syncs     = 'S' // from the client; from the server it is another message, and longer
	terminate = 'X'
	password  = 'p'
	ready     = 'Z'
	asksFor   = 'R' // a password, unless its number is 0

	typeless = 4 // the length of a message, which includes itself
)

func (*wire) readCommand(r *bufio.Reader) ([]byte, error) { return readMessages(r) }
func (*wire) readReply(r *bufio.Reader) ([]byte, error)   { return readMessages(r) }

// readMessages reads up to the last one of a command or a reply.
func readMessages(r *bufio.Reader) (frame []byte, err error) {
	for {
		first, err := r.Peek(1)
		if errors.Is(err, io.EOF) && len(frame) > 0 {
			return frame, nil // the last that a server says, before it closes the connection
		}
		if err != nil {
			return nil, err
		}
		kind, size := first[0], 1
		if kind == 0 { // what begins a connection has no type
			size = 0
		}
		head, err := r.Peek(size + typeless)
		if err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint32(head[size:])
		if n < typeless || n > 64<<20 {
			return nil, fmt.Errorf("faultproxy: a message of %d bytes is not of the protocol", n)
		}
		start := len(frame)
		frame = append(frame, make([]byte, size+int(n))...)
		if _, err := io.ReadFull(r, frame[start:]); err != nil {
			return nil, err
		}
		if ends(kind, frame[start+size:]) {
			return frame, nil
		}
	}
}

// ends reports whether a message is the last one of a command or a reply.
func ends(kind byte, message []byte) bool {
	switch kind {
	case 0, query, terminate, password, ready:
		return true
	case syncs:
		return len(message) == typeless
	case asksFor:
		return binary.BigEndian.Uint32(message[typeless:]) != 0
	}
	return false
}

func (w *wire) command(frame []byte) Command {
	if frame[0] == 0 {
		return Command{"connect"}
	}
	what := Command{"other"}
	for len(frame) > 0 {
		end := 1 + int(binary.BigEndian.Uint32(frame[1:]))
		kind, message := frame[0], frame[1+typeless:end]
		frame = frame[end:]
		switch kind {
		case query:
			statement := text(&message)
			what = Command{w.verb(statement), statement}
		case parse:
			name := text(&message)
			w.named[name] = text(&message)
			what = Command{"prepare"}
		case bind:
			_ = text(&message) // where the result is to be
			statement := w.named[text(&message)]
			what = Command{w.verb(statement), statement}
		}
	}
	return what
}

// text takes a text from the front of a message.
func text(message *[]byte) string {
	before, rest, _ := bytes.Cut(*message, []byte{0})
	*message = rest
	return string(before)
}

// A server that ends a connection says so without being asked, and is not ready then.
func (*wire) unasked(reply []byte) bool {
	const closing = 6 // a message "ready" is that long
	return reply[0] == 'E' && (len(reply) < closing || reply[len(reply)-closing] != ready)
}

func (*wire) more([]byte) bool { return false }

func (*wire) refusal([]byte) []byte {
	fields := strings.Join([]string{"SERROR", "VERROR", "C42501", "Mpermission denied", "", ""}, "\x00")
	reply := append([]byte{'E'}, binary.BigEndian.AppendUint32(nil, uint32(typeless+len(fields)))...)
	reply = append(reply, fields...)
	return append(reply, ready, 0, 0, 0, typeless+1, 'I')
}

func (*wire) garbage() []byte { return bytes.Repeat([]byte{0xff, 0, 0, 0, typeless}, 8) }
