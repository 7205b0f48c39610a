// Package naming is about the names that people type for things: what is said where there is nothing of that name, or
// more than one thing, and which they may have meant.
package naming

import (
	"errors"
	"fmt"
	"strings"
)

// A NotFoundError says that nothing is called so.
type NotFoundError struct {
	Kind    string // of thing: a container
	Name    string
	Similar string // one that there is, or ""
}

func (e *NotFoundError) Error() string {
	if e.Similar != "" {
		return fmt.Sprintf("no such %s: %s (did you mean %s?)", e.Kind, e.Name, e.Similar)
	}
	return fmt.Sprintf("no such %s: %s", e.Kind, e.Name)
}

// IsNotFound tells whether an error says that there is no such thing of a kind.
func IsNotFound(err error, kind string) bool {
	notFound, ok := errors.AsType[*NotFoundError](err)
	return ok && notFound.Kind == kind
}

// An AmbiguousError says that several things have an id that begins so.
type AmbiguousError struct {
	Kind   string
	Prefix string
	IDs    []string
}

func (e *AmbiguousError) Error() string {
	var short []string
	for _, id := range e.IDs {
		id = strings.TrimPrefix(id, "sha256:")
		short = append(short, id[:min(len(id), max(12, len(e.Prefix)+4))])
	}
	return fmt.Sprintf("%s id %s is ambiguous: %s", e.Kind, e.Prefix, strings.Join(short, ", "))
}
