package faultproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// mysql is the protocol of MySQL and MariaDB, without TLS and compression, as it is
// spoken where the client asks for CLIENT_DEPRECATE_EOF. A command is all packets up to
// the one that asks for an answer. What a reply looks like depends on the command, and
// the numbers of prepared statements are those of a connection.
type mysql struct {
	verb func(statement string) string

	mu        sync.Mutex
	asked     byte   // the kind of the command that is under way
	statement string // that it prepares
	prepared  map[uint32]string
}

// The kinds of commands, by the first byte of their packets. What a client says while it
// connects is none.
const (
	comConnect      = 0
	comQuery        = 0x03
	comPrepare      = 0x16
	comExecute      = 0x17
	comSendLongData = 0x18 // is not answered
	comCloseStmt    = 0x19 // is not answered
)

// The first bytes of what a server answers.
const (
	packetOK        = 0x00
	packetMoreAuth  = 0x01
	packetLocalFile = 0xfb
	packetEnd       = 0xfe
	packetError     = 0xff

	fastAuthOK = 3 // the second byte of packetMoreAuth, when packetOK follows
)

const packetHead = 4 // the length of what is behind it, and the packet's number within a command and its reply

// lengthOf returns how many bytes are behind the head of a packet.
func lengthOf(packet []byte) int {
	return int(packet[0]) | int(packet[1])<<8 | int(packet[2])<<16
}

func readPacket(r *bufio.Reader) (packet []byte, err error) {
	head, err := r.Peek(packetHead)
	if err != nil {
		return nil, err
	}
	n := lengthOf(head)
	if n == 0 || n == 1<<24-1 {
		return nil, fmt.Errorf("faultproxy: a packet of %d bytes is not expected", n)
	}
	packet = make([]byte, packetHead+n)
	_, err = io.ReadFull(r, packet)
	return packet, err
}

func (*mysql) readCommand(r *bufio.Reader) (frame []byte, err error) {
	for {
		packet, err := readPacket(r)
		if errors.Is(err, io.EOF) && len(frame) > 0 {
			return frame, nil
		}
		if err != nil {
			return nil, err
		}
		frame = append(frame, packet...)
		if kind := kindOf(packet); kind != comSendLongData && kind != comCloseStmt {
			return frame, nil
		}
	}
}

func kindOf(packet []byte) byte {
	if first := packet[3] == 0; !first {
		return comConnect
	}
	return packet[packetHead]
}

func (m *mysql) readReply(r *bufio.Reader) (frame []byte, err error) {
	first, err := readPacket(r)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	frame, says := first, first[packetHead:]
	follow := func(n int) {
		for ; n > 0 && err == nil; n-- {
			var packet []byte
			packet, err = readPacket(r)
			frame = append(frame, packet...)
		}
	}
	switch {
	case m.unasked(first) || says[0] == packetError:
	case m.asked == comConnect && says[0] == packetMoreAuth && len(says) > 1 && says[1] == fastAuthOK:
		follow(1)
	case m.asked == comPrepare:
		m.prepared[binary.LittleEndian.Uint32(says[1:])] = m.statement
		follow(int(binary.LittleEndian.Uint16(says[5:])) + int(binary.LittleEndian.Uint16(says[7:]))) // the columns and the parameters
	case (m.asked == comQuery || m.asked == comExecute) && says[0] != packetOK && says[0] != packetLocalFile:
		if known := len(says) > 1 && says[1] == 0; !known { // from the time when it was prepared
			follow(int(says[0])) // the columns
		}
		for err == nil {
			var row []byte
			if row, err = readPacket(r); err == nil {
				frame = append(frame, row...)
				if row[packetHead] == packetEnd || row[packetHead] == packetError {
					break
				}
			}
		}
	}
	return frame, err
}

func (m *mysql) command(frame []byte) Command {
	var packet []byte
	for len(frame) > 0 { // the last one is what asks for an answer
		end := packetHead + lengthOf(frame)
		packet, frame = frame[:end], frame[end:]
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = kindOf(packet)
	says := packet[packetHead:]
	switch m.asked {
	case comConnect:
		return Command{"connect"}
	case comQuery:
		return Command{m.verb(string(says[1:])), string(says[1:])}
	case comPrepare:
		m.statement = string(says[1:])
		return Command{"prepare", m.statement}
	case comExecute:
		statement := m.prepared[binary.LittleEndian.Uint32(says[1:])]
		return Command{m.verb(statement), statement}
	}
	return Command{"other"}
}

// A server says the first thing of a connection, and what it says in answer to nothing
// has that number, too.
func (*mysql) unasked(reply []byte) bool { return reply[3] == 0 }

func (*mysql) more([]byte) bool { return false }

func (*mysql) refusal([]byte) []byte {
	const denied = 1142
	says := append([]byte{packetError}, binary.LittleEndian.AppendUint16(nil, denied)...)
	says = append(says, "#42000command denied to user"...)
	return append([]byte{byte(len(says)), 0, 0, 1}, says...)
}

func (*mysql) garbage() []byte { return bytes.Repeat([]byte{4, 0, 0, 0x7f, 'n', 'o', 'n', 'e'}, 4) }
