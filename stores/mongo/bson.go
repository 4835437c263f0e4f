package mongostore

import (
	"encoding/binary"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The commands of the store are put together byte by byte: each is a few fixed
// fields around content that is copied once.

// begin appends the beginning of a document or array and returns where it is.
func begin(dst []byte) (at int, _ []byte) {
	return len(dst), append(dst, 0, 0, 0, 0)
}

// end appends the end of the document or array that began at a place.
func end(dst []byte, at int) []byte {
	dst = append(dst, 0)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at)) //nolint:gosec // far below 2 GiB, see Config.MaxBytes
	return dst
}

// appendName appends what an element begins with. The name has no NUL.
func appendName[S string | []byte](dst []byte, t bson.Type, name S) []byte {
	return append(append(append(dst, byte(t)), name...), 0)
}

func appendString[S string | []byte](dst []byte, name string, s S) []byte {
	return appendText(appendName(dst, bson.TypeString, name), s)
}

// appendText appends the value of a string element.
func appendText[S string | []byte](dst []byte, s S) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)+1)) //nolint:gosec // as above
	return append(append(dst, s...), 0)
}

func appendDate(dst []byte, name string, ms int64) []byte {
	return appendInt(appendName(dst, bson.TypeDateTime, name), ms)
}

// appendInt appends the value of an element of 64 bits.
func appendInt(dst []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(n)) //nolint:gosec // two's complement is what is wanted
}

func appendValue(dst []byte, name string, v bson.RawValue) []byte {
	return append(appendName(dst, v.Type, name), v.Value...)
}

// elements returns what stands between the beginning and the end of a document.
func elements(doc bson.D) []byte {
	raw, err := bson.Marshal(doc)
	if err != nil {
		panic(err) // of a document of our own
	}
	return raw[4 : len(raw)-1]
}
