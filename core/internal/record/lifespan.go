package record

import "time"

// A Lifespan is how long a session lives without activity, and when it ends all
// the same.
type Lifespan struct {
	Idle     time.Duration
	Deadline time.Time // of the absolute timeout; zero for none
}

// Left returns how long a session lives that is given this life now. It is not
// positive when the deadline has passed.
func (l Lifespan) Left(now time.Time) time.Duration {
	if l.Deadline.IsZero() {
		return l.Idle
	}
	return min(l.Idle, l.Deadline.Sub(now))
}
