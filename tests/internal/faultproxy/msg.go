package faultproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// msg is the protocol of MongoDB: messages OP_MSG, and OP_QUERY to begin with.
type msg struct{}

const (
	header     = 16 // its length: of the message, its id, the id that it answers, the kind of message
	opQuery    = 2004
	opMsg      = 2013
	moreToCome = 1 << 1 // a flag of OP_MSG
	sequence   = 1      // a kind of section in OP_MSG
)

func (msg) readCommand(r *bufio.Reader) ([]byte, error) { return readMessage(r) }
func (msg) readReply(r *bufio.Reader) ([]byte, error)   { return readMessage(r) }

func readMessage(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(header)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head)
	if n < header || n > 64<<20 {
		return nil, fmt.Errorf("faultproxy: a message of %d bytes is not of the protocol", n)
	}
	message := make([]byte, n)
	_, err = io.ReadFull(r, message)
	return message, err
}

func (msg) command(message []byte) Command {
	body := message[header:]
	switch op(message) {
	case opMsg:
		body = body[4:] // the flags
		for body[0] == sequence {
			body = body[1+binary.LittleEndian.Uint32(body[1:]):]
		}
		body = body[1:]
	case opQuery:
		name := bytes.IndexByte(body[4:], 0) // of the collection, behind the flags
		body = body[4+name+1+8:]
	default:
		return Command{fmt.Sprintf("message %d", op(message))}
	}
	name, value, _ := bytes.Cut(body[4+1:], []byte{0}) // of the document's first element
	if body[4] != byte(bson.TypeString) {
		return Command{string(name)}
	}
	collection, _, _ := bytes.Cut(value[4:], []byte{0})
	return Command{string(name), string(collection)}
}

func (msg) garbage() []byte { return bytes.Repeat([]byte{0xff}, 2*header) }

func (msg) unasked([]byte) bool { return false }

func (msg) more(reply []byte) bool {
	return op(reply) == opMsg && reply[header]&moreToCome != 0
}

func (msg) refusal(command []byte) []byte {
	body, err := bson.Marshal(bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: "not authorized"}, {Key: "code", Value: 13}, {Key: "codeName", Value: "Unauthorized"}})
	if err != nil {
		panic(err)
	}
	m := make([]byte, header+4+1, header+4+1+len(body))
	binary.LittleEndian.PutUint32(m, uint32(cap(m)))
	copy(m[8:], command[4:8]) // the id that it answers
	binary.LittleEndian.PutUint32(m[12:], opMsg)
	return append(m, body...)
}

func op(message []byte) uint32 { return binary.LittleEndian.Uint32(message[12:]) }
