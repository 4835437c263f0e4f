package mongostore

import "context"

// Insist makes a write to the document of an id until it finds one.
func (s *Store) Insist(ctx context.Context, id string, write func() (found int64, err error)) error {
	return s.insist(ctx, "touch", id, s.one(id), nil, write)
}
