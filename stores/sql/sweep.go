package sqlstore

import (
	"context"
	"database/sql"
	"log/slog"
	"time"
)

// Sweep removes the sessions that have expired, and the lists, and returns how many it
// removed. It looks for some hundreds at a time, without a lock, and removes those that
// have expired by then, so that nobody waits for it. Any number of processes may do so
// at once.
func (s *Store) Sweep(ctx context.Context) (removed int, err error) {
	for _, part := range []*Store{s, s.lists} {
		n, err := part.sweep(ctx)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (s *Store) sweep(ctx context.Context) (removed int, err error) {
	for {
		b, err := call(ctx, s, "sweep", s.sweepBatch)
		removed += b.removed
		if err != nil || b.found < sweepSize {
			return removed, err
		}
	}
}

// A batch is what one batch of a sweep came to.
type batch struct{ found, removed int }

func (s *Store) sweepBatch(ctx context.Context, c *sql.Conn) (b batch, err error) {
	ids, err := due(c.QueryContext(ctx, s.say.due))
	if err != nil || len(ids) == 0 {
		return b, err
	}
	b.found = len(ids)
	list, args := s.listed(ids)
	gone, err := c.ExecContext(ctx, s.text.of(`DELETE FROM {t} WHERE id IN `+list+` AND expires <= {now}`), args...)
	if err != nil {
		return b, err
	}
	n, err := gone.RowsAffected()
	if b.removed = int(n); err != nil || b.removed == b.found {
		return b, err
	}
	// The others live longer than they did when they were last looked at.
	_, err = c.ExecContext(ctx, s.text.of(`UPDATE {t} SET due = expires WHERE id IN `+list+` AND expires > {now}`), args...)
	return b, err
}

func due(rows *sql.Rows, err error) (ids []string, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, string(id))
	}
	return ids, rows.Err()
}

// roundTimeout is how long a round of sweeping may take. What is left then is for the next.
const roundTimeout = time.Minute

// sweepInRounds starts the goroutine that sweeps until Close.
func (s *Store) sweepInRounds() {
	if s.opts.SweepInterval == NeverSweep {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.close = cancel
	s.rounds.Go(func() {
		failing := false
		for {
			timer := time.NewTimer(jitter(s.opts.SweepInterval))
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			err := s.sweepRound(ctx)
			if err != nil && !failing && ctx.Err() == nil {
				s.opts.Logger.WarnContext(ctx, "cloakroom: sql store: expired sessions cannot be removed, and take room until they can", slog.String("error", err.Error()))
			}
			failing = err != nil
		}
	})
}

// sweepRound does a round unless another process has done one lately. Of several
// processes one writes down that it does it, and does: a lock could outlive the process
// that has it.
func (s *Store) sweepRound(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	mine, err := call(ctx, s, "sweep", func(ctx context.Context, c *sql.Conn) (bool, error) {
		return changed(c.ExecContext(ctx, s.say.claim, s.idiom.life(s.opts.SweepInterval/2)))
	})
	if err != nil || !mine {
		return err
	}
	_, err = s.Sweep(ctx)
	return err
}
