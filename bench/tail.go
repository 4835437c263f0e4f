package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// readsOfTen is how many of ten requests read; the others change.
const readsOfTen = 9

// A tail is what visitors wait for where requests come at a fixed rate, whether or not the
// answers to others are late. A wait begins when the request should have been sent.
type tail struct {
	capacity  float64 // requests/s of Cloakroom, as fast as it can
	perSecond float64 // that were sent
	floor     waited
	own       waited
}

// waited is what visitors of one server waited for, by round.
type waited struct {
	mix            []*mixed
	p50, p99, p999 []time.Duration
}

// A mixed is a connection whose visitor reads and changes one session.
type mixed struct{ read, change *regular }

const (
	tailRate  = 0.5 // of the capacity
	tailMost  = 1.15
	tailMost9 = 1.5
)

// measureTail compares Cloakroom with the floor on Gin over Valkey, which is the bare
// framework, one signature and the raw round trips.
func measureTail(ctx context.Context, s *servers, o options) (*tail, error) {
	open := func(library string, to *waited) (*server, error) {
		srv, err := startServer(ctx, s, subject{library: library, on: onGin, store: valkeyS})
		if err != nil {
			return nil, err
		}
		if err := srv.prepare(); err != nil {
			srv.app.close()
			return nil, err
		}
		for i, r := range srv.measure["W3"].visitors {
			to.mix = append(to.mix, &mixed{read: r, change: srv.measure["W4"].visitors[i]})
		}
		return srv, nil
	}
	t := new(tail)
	floor, err := open(floorLibrary, &t.floor)
	if err != nil {
		return nil, err
	}
	defer floor.app.close()
	own, err := open(libraryName, &t.own)
	if err != nil {
		return nil, err
	}
	defer own.app.close()

	var fastest []float64
	for range 3 {
		perSecond, err := t.own.capacity(ctx, o.httpSlice)
		if err != nil {
			return nil, err
		}
		fastest = append(fastest, perSecond)
	}
	t.capacity = median(fastest)
	t.perSecond = tailRate * t.capacity
	for round := range o.rounds {
		o.progress("%.0f requests/s over HTTP: round %d of %d", t.perSecond, round+1, o.rounds)
		in := []*waited{&t.floor, &t.own}
		if round%2 == 1 {
			in[0], in[1] = in[1], in[0]
		}
		for _, w := range in {
			if err := w.round(ctx, t.perSecond, 2*o.httpSlice); err != nil {
				return nil, err
			}
		}
	}
	for _, w := range []*waited{&t.floor, &t.own} {
		for _, m := range w.mix {
			if err := m.change.counts(); err != nil {
				return nil, err
			}
		}
	}
	return t, ctx.Err()
}

// send sends the i-th request.
func (m *mixed) send(i int64) error {
	if i%10 < readsOfTen {
		return m.read.send(1)
	}
	return m.change.send(1)
}

// capacity returns how many requests a second are answered where each visitor sends the
// next as soon as it has an answer.
func (w *waited) capacity(ctx context.Context, length time.Duration) (float64, error) {
	from := time.Now()
	var sent atomic.Int64
	err := w.all(func(m *mixed) error {
		for time.Since(from) < length && ctx.Err() == nil {
			if err := m.send(sent.Add(1)); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return float64(sent.Load()) / time.Since(from).Seconds(), err
}

// round sends requests at that rate. Each is sent by whichever visitor is free.
func (w *waited) round(ctx context.Context, perSecond float64, length time.Duration) error {
	took, err := atRate(ctx, perSecond, length, len(w.mix), func(visitor int, i int64) error { return w.mix[visitor].send(i) })
	if err == nil {
		w.add(took)
	}
	return err
}

// add adds what was waited for in a round.
func (w *waited) add(took []time.Duration) {
	w.p50 = append(w.p50, quantile(took, 0.50))
	w.p99 = append(w.p99, quantile(took, 0.99))
	w.p999 = append(w.p999, quantile(took, 0.999))
}

// atRate sends requests at that rate, each by whichever of the visitors is free, and returns
// how long each took from when it was due.
func atRate(ctx context.Context, perSecond float64, length time.Duration, visitors int, send func(visitor int, i int64) error) ([]time.Duration, error) {
	var (
		n     = int64(perSecond * length.Seconds())
		took  = make([]time.Duration, n)
		due   = make(chan int64, n)
		start = time.Now()
		at    = func(i int64) time.Duration { return time.Duration(float64(i) / perSecond * float64(time.Second)) }
		errs  = make([]error, visitors)
		done  sync.WaitGroup
	)
	go func() {
		defer close(due)
		for i := range n {
			pause(start.Add(at(i)))
			due <- i // there is room for all
		}
	}()
	for visitor := range visitors {
		done.Go(func() {
			for i := range due {
				if errs[visitor] = errors.Join(send(visitor, i), ctx.Err()); errs[visitor] != nil {
					return
				}
				took[i] = time.Since(start) - at(i)
			}
		})
	}
	done.Wait()
	return took, errors.Join(errs...)
}

// all lets each visitor do something at once.
func (w *waited) all(do func(m *mixed) error) error {
	errs := make([]error, len(w.mix))
	var done sync.WaitGroup
	for i, m := range w.mix {
		done.Go(func() { errs[i] = do(m) })
	}
	done.Wait()
	return errors.Join(errs...)
}

// say implements part.
func (t *tail) say(p *page) {
	p.say("## At a fixed rate over HTTP, Valkey\n")
	p.say("%s requests a second, %.0f %% of what Cloakroom answers at most, over %d connections; %d of 10 read and the others change. A", thousands(int64(t.perSecond)), 100*tailRate, clients, readsOfTen)
	p.say("wait begins when the request was due, whether or not a connection was free. The floor is the bare framework, one signature and")
	p.say("the raw round trips.\n")
	p.head("", "p50 ms", "p99 ms", "p99.9 ms")
	for _, w := range []struct {
		name string
		of   waited
	}{{floorLibrary + ", Gin", t.floor}, {libraryName + ", Gin", t.own}} {
		p.row(w.name, spreadOut(w.of.p50), spreadOut(w.of.p99), spreadOut(w.of.p999))
	}
	p.say("")
}

// spreadOut writes a median in milliseconds.
func spreadOut(all []time.Duration) string {
	return fmt.Sprintf("%.2f ±%.0f%%", milliseconds(median(all)), 100*spread(all))
}

// targets implements part.
func (t *tail) targets() (list []target) {
	for _, c := range []struct {
		name       string
		own, floor []time.Duration
		most       float64
	}{{"p99", t.own.p99, t.floor.p99, tailMost}, {"p99.9", t.own.p999, t.floor.p999, tailMost9}} {
		times := ratio(c.own, c.floor)
		list = append(list, target{
			fmt.Sprintf("Gin, Valkey, over HTTP at half of the capacity, %s", c.name),
			fmt.Sprintf("at most %v x that of the framework with the raw round trips", c.most),
			fmt.Sprintf("%.2f x (spread ±%.0f%%)", times, 100*max(spread(c.own), spread(c.floor))), times <= c.most,
		})
	}
	return list
}
