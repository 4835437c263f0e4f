package state

// A Renewal is what the handler asked for concerning the id.
type Renewal uint8

const (
	// KeepID leaves the id as it is.
	KeepID Renewal = iota

	// RotateID gives the session a new id and keeps its data, and requests with the old
	// one are let through for a moment: Rotate.
	RotateID

	// RenewID gives the session a new id and keeps its data: Renew, or SignIn.
	RenewID

	// RegenerateID gives the session a new id and drops its data: Regenerate, or
	// SignIn for another user than the one whose session it was.
	RegenerateID
)

// Renewals are all of them, in the order of their values.
var Renewals = [...]Renewal{KeepID, RotateID, RenewID, RegenerateID}

// String returns the name that docs/design.md uses.
func (r Renewal) String() string { return [...]string{"keep", "rotate", "renew", "regenerate"}[r] }

// StepInputs are what the next step of a commit depends on, and nothing else
// does.
type StepInputs struct {
	Standing Standing
	Deed     Deed
	Renewal  Renewal

	Failed    bool // an earlier write has an unknown outcome, or a function given to Update used the session
	Explicit  bool // Save asks: what did not change is stored too
	Modified  bool // what would be stored differs from what is stored, or the id is to be another
	SignIn    bool // SignIn was called
	NewLife   bool // SetMaxAge was called
	Touched   bool // Touch was called
	Discarded bool // Discard was called, and so nothing is written for Config's sake
	Extending bool // an extension runs beside the handler
	Due       bool // the browser's cookie has used up so much of its life that it is to be sent again
	Unproven  bool // a cookie would be sent again, and nothing shows that no newer one was
	Withheld  bool // the browser may have a cookie that it did not send with this request

	Resave            bool // Config.Resave
	SaveUninitialized bool // Config.SaveUninitialized, and its cookie can be set
}

// A Step is what a commit does next.
type Step uint8

const (
	// Nothing says that the commit is done.
	Nothing Step = iota

	// AwaitExtension waits for the extension that runs beside the handler.
	AwaitExtension

	// Create stores a new session under an id of its own.
	Create

	// Replace stores the session under its next id, and then turns the record
	// under the old id into a retired one.
	Replace

	// Write puts a record with the changes in the place of the one that is
	// stored.
	Write

	// Extend gives the record its whole life.
	Extend

	// Verify reads the record, to find out whether the session still has its id.
	Verify

	// End ends the session, which was tried before.
	End

	// FailGone fails the commit because the session has ended.
	FailGone

	// FailUnavailable fails the commit because the store was down when the
	// request began.
	FailUnavailable

	// FailLocked fails the commit because the session is bound to a browser, and
	// nothing shows that the request comes from there.
	FailLocked

	// FailAgain fails the commit with the error of before.
	FailAgain
)

// String returns the name that docs/design.md uses.
func (s Step) String() string {
	return [...]string{
		"nothing", "await extension", "create", "replace", "write", "extend", "verify", "end",
		"fail: gone", "fail: unavailable", "fail: locked", "fail: again",
	}[s]
}

// Next returns the next step of a commit.
func Next(in StepInputs) Step {
	if in.Failed {
		return FailAgain
	}
	wanted := in.Explicit || in.Modified
	switch in.Standing {
	case Live:
		return nextOfLive(in)
	case Fresh, SignedOut:
		return nextOfUnstored(in)
	case MovedOn:
		switch {
		case in.SignIn:
			return Create
		case wanted:
			return FailGone
		}
	case Locked:
		switch {
		case in.SignIn:
			return Create
		case wanted:
			return FailLocked
		}
	case Gone:
		if wanted {
			return FailGone
		}
	case Ended:
		if in.Explicit {
			return FailGone
		}
	case Ending:
		return End
	case Unavailable:
		if wanted {
			return FailUnavailable
		}
	}
	return Nothing
}

// nextOfUnstored is Next for a session that is not stored. Its cookie would take the
// place of one that the browser withheld: that is for handlers to ask for.
func nextOfUnstored(in StepInputs) Step {
	asked := in.Explicit || in.Renewal != KeepID
	if asked || !in.Withheld && (in.Modified || in.SaveUninitialized && !in.Discarded) {
		return Create
	}
	return Nothing
}

// nextOfLive is Next for a session that is stored.
func nextOfLive(in StepInputs) Step {
	wanted := in.Explicit || in.Modified
	writes := wanted || !in.Discarded && (in.Due || in.Resave && in.Deed == NotWritten)
	switch {
	case writes && in.Renewal == KeepID && !in.NewLife:
		return Write // it gives the record the life that the extension would
	case in.Extending:
		return AwaitExtension
	case in.Renewal != KeepID:
		return Replace
	case writes:
		return Write
	case in.Touched:
		return Extend
	case in.Unproven:
		return Verify
	}
	return Nothing
}

// Possible reports whether these inputs can occur together. Package core asserts
// it under test.
func (in StepInputs) Possible() bool {
	onlyLive := in.Extending || in.Due || in.Unproven
	dropped := in.Standing == Ended || in.Standing == Ending // changes are refused
	switch {
	case in.SignIn && in.Renewal == KeepID,
		in.Renewal != KeepID && !in.Modified,
		onlyLive && in.Standing != Live,
		in.Withheld && in.Standing != Fresh,
		dropped && (in.Modified || in.Touched || in.NewLife),
		in.Deed != NotWritten && (in.Standing == Fresh || in.Standing == SignedOut || in.Standing == Unavailable || in.Standing == Locked):
		return false
	}
	return true
}
