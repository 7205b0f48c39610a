package naming

import (
	"errors"
	"fmt"
	"testing"
)

func TestSimilar(t *testing.T) {
	names := []string{"web", "database", "alpine"}
	for typed, want := range map[string]string{
		"wep": "web", "databse": "database", "alpne": "alpine", "alpnie": "alpine", "quite other": "", "x": "", "we": "web", "web": "", "": "",
	} {
		if got := Similar(typed, names); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	notFound := &NotFoundError{Kind: "container", Name: "wep", Similar: "web"}
	for err, want := range map[error]string{
		notFound: "no such container: wep (did you mean web?)",
		&NotFoundError{Kind: "image", Name: "other"}:                                    "no such image: other",
		&AmbiguousError{"image", "4", []string{"sha256:4000000000000000", "sha256:41"}}: "image id 4 is ambiguous: 400000000000, 41",
		&AmbiguousError{"container", "aaaabbbbcccc", []string{"aaaabbbbccccddddeeee"}}:  "container id aaaabbbbcccc is ambiguous: aaaabbbbccccdddd",
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	wrapped := errors.Join(errors.New("other"), fmt.Errorf("find: %w", notFound))
	if !IsNotFound(wrapped, "container") || IsNotFound(wrapped, "image") || IsNotFound(nil, "container") {
		t.Error("a container that is not found is that, and no image")
	}
}
