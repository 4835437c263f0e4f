package faultproxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// resp is the protocol of Valkey and Redis: RESP3.
type resp struct{}

func (resp) unasked(reply []byte) bool { return reply[0] == '>' }
func (resp) more([]byte) bool          { return false }
func (resp) refusal([]byte) []byte {
	return []byte("-OOM command not allowed when used memory > 'maxmemory'.\r\n")
}

func (resp) garbage() []byte { return bytes.Repeat([]byte{0xff, '\r', '\n', 0xff}, 8) }

func (resp) readCommand(r *bufio.Reader) ([]byte, error) { return appendFrame(nil, r) }
func (resp) readReply(r *bufio.Reader) ([]byte, error)   { return appendFrame(nil, r) }

func appendFrame(frame []byte, r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return frame, err
	}
	if len(line) < 3 {
		return frame, fmt.Errorf("faultproxy: the line %q is not of the protocol", line)
	}
	frame = append(frame, line...)
	kind, length := line[0], string(line[1:len(line)-2])
	values := 0
	switch kind {
	case '+', '-', ':', '_', '#', ',', '(':
		return frame, nil
	case '$', '!', '=':
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 {
			return frame, err
		}
		start := len(frame)
		frame = append(frame, make([]byte, n+2)...)
		_, err = io.ReadFull(r, frame[start:])
		return frame, err
	case '*', '~', '>':
		values, err = strconv.Atoi(length)
	case '%':
		values, err = strconv.Atoi(length)
		values *= 2
	case '|':
		values, err = strconv.Atoi(length)
		values = 2*values + 1 // the value that the attributes belong to
	default:
		err = fmt.Errorf("faultproxy: the line %q is not of the protocol", frame)
	}
	for i := 0; i < values && err == nil; i++ {
		frame, err = appendFrame(frame, r)
	}
	return frame, err
}

func (resp) command(frame []byte) Command {
	var (
		all  Command
		rest = frame
	)
	line := func() string {
		for i := range rest {
			if rest[i] == '\n' {
				l := string(rest[:i-1])
				rest = rest[i+1:]
				return l
			}
		}
		return ""
	}
	n, _ := strconv.Atoi(line()[1:])
	for range n {
		size, _ := strconv.Atoi(line()[1:])
		all = append(all, string(rest[:size]))
		rest = rest[size+2:]
	}
	all[0] = strings.ToUpper(all[0])
	return all
}
