package takeover

import (
	"fmt"
	"strconv"
)

// The settings have keys, and records have data: neither is printed.

// Format implements [fmt.Formatter]: only the name of the cookie is printed.
func (g Gorilla) Format(f fmt.State, _ rune) { printSource(f, "Gorilla", g.Name) }

// Format implements [fmt.Formatter]: only the name of the cookie is printed.
func (s SCS) Format(f fmt.State, _ rune) { printSource(f, "SCS", s.tokens().name) }

// Format implements [fmt.Formatter]: only the name of the cookie is printed.
func (f Fiber) Format(s fmt.State, _ rune) { printSource(s, "Fiber", f.tokens().name) }

// Format implements [fmt.Formatter]: only the name of the cookie is printed.
func (c CookieSession) Format(f fmt.State, _ rune) { printSource(f, "CookieSession", c.name()) }

// Format implements [fmt.Formatter]: the statements are printed, and nothing of DB.
func (q SQL) Format(f fmt.State, _ rune) {
	printSource(f, "SQL", q.Select+"; "+q.Remove)
}

// String describes the record without its data.
func (r Record) String() string { return "Record(" + strconv.Itoa(len(r.Data)) + " bytes)" }

// Format implements [fmt.Formatter]: no verb prints more than String.
func (r Record) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.String())) }

// MarshalJSON keeps the data out of a response that it ends up in by mistake.
func (r Record) MarshalJSON() ([]byte, error) { return []byte(strconv.Quote(r.String())), nil }

func printSource(f fmt.State, kind, name string) {
	_, _ = f.Write([]byte(kind + "(" + strconv.Quote(name) + ")"))
}
