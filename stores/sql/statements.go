package sqlstore

// statements are what a store says to the database, each of them whole. Their
// parameters are in the comments.
type statements struct {
	load   string // id
	create string // id, data, life 4 times: where there is none or it has expired. MySQL: 2 times, where there is none
	update string // PostgreSQL: id, old data, life, data. Others: data, life 2 times, id, old data
	keep   string // the same without a life
	touch  string // PostgreSQL: id, life 2 times. Others: life 2 times, id
	delete string // id
	remove string // id, old data

	overwrite string // MySQL: data, life 2 times, id: what has expired
	exists    string // MySQL: id: whether it is live

	replace string // PostgreSQL: see there

	page    string // id: the live records behind it
	count   string
	bound   string // id: the last of those that Clear removes next, if there are more
	clear   string // id, bound
	clearUp string // id: all behind it

	due   string // the ids that are to be looked at
	claim string // life: makes the next round of sweeping this process's
	ping  string // returns the version of the schema
}

// How many records one statement looks at. The statements say it in figures.
const (
	pageSize  = 200
	sweepSize = 256
)

func newStatements(t text) *statements {
	s := &statements{
		load:    t.of(`SELECT data FROM {t} WHERE id = ? AND expires > {now}`),
		delete:  t.of(`DELETE FROM {t} WHERE id = ?`),
		page:    t.of(`SELECT id, data FROM {t} WHERE id > ? AND expires > {now} ORDER BY id LIMIT 200`),
		count:   t.of(`SELECT count(*) FROM {t} WHERE expires > {now}`),
		bound:   t.of(`SELECT id FROM {t} WHERE id > ? ORDER BY id LIMIT 1 OFFSET 999`),
		clear:   t.of(`DELETE FROM {t} WHERE id > ? AND id <= ?`),
		clearUp: t.of(`DELETE FROM {t} WHERE id > ?`),
		claim:   t.of(`UPDATE {m} SET swept = {now} WHERE id = 1 AND swept <= {before}`),
		due:     t.of(`SELECT id FROM {t} WHERE due <= {start} ORDER BY due LIMIT 256`),
		ping:    t.of(`SELECT version FROM {m} WHERE id = 1`),
	}
	if t.dialect == PostgreSQL {
		s.ofPostgreSQL(t)
	} else {
		s.ofOthers(t)
	}
	return s
}

// upsert puts a record where there is none, or one that has expired.
const upsert = `INSERT INTO {t} AS s (id, data, expires, due) VALUES (?, ?, {after}, {after})
	ON CONFLICT (id) DO UPDATE SET data = excluded.data, expires = {after}, due = {after} WHERE s.expires <= {now}`

// ofPostgreSQL says everything about one record in one statement. What it changes it
// has locked before (l), and judges after it has waited for that lock (j): the
// condition of an UPDATE alone is not looked at again where the one who had the lock
// changed nothing, and its clock stands where the wait began. What is stored instead
// comes through that lock as well: a plain SELECT beside an UPDATE sees what was there
// when the statement began.
func (s *statements) ofPostgreSQL(t text) {
	const lock = `WITH l AS MATERIALIZED (SELECT id, data, expires FROM {t} WHERE id = ? FOR UPDATE),
	j AS MATERIALIZED (SELECT id, NULLIF(data, ?) AS other, expires > {now} AS live`
	const where = ` WHERE s.id = j.id AND j.other IS NULL AND j.live RETURNING 1)
	SELECT live, EXISTS (SELECT 1 FROM u), other FROM j`
	const life = `expires = {after}, due = {least}(s.due, {after})`

	s.create = t.of(upsert)
	s.update = t.of(lock + `, {after} AS until FROM l),
	u AS (UPDATE {t} AS s SET data = ?, expires = j.until, due = {least}(s.due, j.until) FROM j` + where)
	s.keep = t.of(lock + ` FROM l),
	u AS (UPDATE {t} AS s SET data = ? FROM j` + where)
	s.touch = t.of(`WITH l AS MATERIALIZED (SELECT id, expires FROM {t} WHERE id = ? FOR UPDATE)
	UPDATE {t} AS s SET ` + life + ` FROM l WHERE s.id = l.id AND l.expires > {now}`)
	s.remove = t.of(lock + ` FROM l),
	u AS (DELETE FROM {t} AS s USING j` + where)

	// The locks are taken in the order of the ids, so that two calls that need the same
	// two do not wait for each other. The new record comes before the old one is
	// retired: where another call has put it there meanwhile, nothing is done.
	s.replace = t.of(`WITH l AS MATERIALIZED (SELECT id, data, expires FROM {t} WHERE id IN (?, ?) ORDER BY id FOR UPDATE),
	j AS MATERIALIZED (SELECT id, data = ? AS same, expires > {now} AS live,
		EXISTS (SELECT 1 FROM l AS o WHERE o.id = ? AND o.expires > {now}) AS taken FROM l WHERE id = ?),
	n AS (INSERT INTO {t} AS s (id, data, expires, due)
		SELECT CAST(? AS bytea), CAST(? AS bytea), {after}, {after} FROM j WHERE same AND live AND NOT taken
		ON CONFLICT (id) DO UPDATE SET data = excluded.data, expires = {after}, due = {after} WHERE s.expires <= {now} RETURNING 1),
	u AS (UPDATE {t} AS s SET data = ?, ` + life + ` FROM j, n WHERE s.id = j.id RETURNING 1)
	SELECT live, same, EXISTS (SELECT 1 FROM u) FROM j`)
}

// ofOthers changes a record by a statement that finds it only while it holds what it
// should. MySQL and SQLite judge that when they have its lock.
func (s *statements) ofOthers(t text) {
	const life = `expires = {after}, due = {least}(due, {after})`
	s.update = t.of(`UPDATE {t} SET data = ?, ` + life + ` WHERE id = ? AND data = ? AND expires > {now}`)
	s.keep = t.of(`UPDATE {t} SET data = ? WHERE id = ? AND data = ? AND expires > {now}`)
	s.touch = t.of(`UPDATE {t} SET ` + life + ` WHERE id = ? AND expires > {now}`)
	s.remove = t.of(`DELETE FROM {t} WHERE id = ? AND data = ? AND expires > {now}`)
	if t.dialect == SQLite {
		s.create = t.of(upsert)
		return
	}
	s.create = t.of(`INSERT INTO {t} (id, data, expires, due) VALUES (?, ?, {after}, {after})`)
	s.overwrite = t.of(`UPDATE {t} SET data = ?, expires = {after}, due = {after} WHERE id = ? AND expires <= {now}`)
	s.exists = t.of(`SELECT 1 FROM {t} WHERE id = ? AND expires > {now}`)
}
