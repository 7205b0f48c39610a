//go:build linux

// Package decode reads what somebody wrote as JSON: a config.json, or a part of one.
//
// encoding/json learns a type's fields by reflection, when it first meets the type, and that takes longer than all
// else that `start` and `delete` do. So there is a reader here (reader.go) with the fields in tables, which the
// compiler lays out. It leaves to encoding/json whatever is wrong or unusual, and encoding/json has the words.
package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Decode reads JSON into a value that holds nothing yet, and says where it is wrong. What the specification does not
// know is passed over, as it wants it.
func Decode(text []byte, into any) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("empty: want a JSON object")
	}
	if quick(text, into) {
		return nil
	}
	err := json.Unmarshal(text, into)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%s: %w", place(text, syntax.Offset), syntax)
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: %s: want %s, not %s %s", place(text, kind.Offset), kind.Field, kindName(kind.Type), article(kind.Value), kind.Value)
	}
	return err
}

// quick reads it if it is as usual.
func quick(text []byte, into any) bool {
	switch v := into.(type) {
	case *specs.Spec:
		return readInto(text, v, specFields.Read)
	case *specs.Process:
		return readInto(text, v, processFields.Read)
	case *specs.LinuxResources:
		return readInto(text, v, resourcesFields.Read)
	}
	return false
}

// readInto leaves the value as it is if the text cannot be read.
func readInto[T any](text []byte, into *T, read func(*Reader, *T)) bool {
	var v T
	ok := Read(text, &v, read)
	if ok {
		*into = v
	}
	return ok
}

// place is where in a text an offset is.
func place(text []byte, offset int64) string {
	before := text[:min(offset, int64(len(text)))]
	return fmt.Sprintf("line %d, column %d", 1+bytes.Count(before, []byte("\n")), len(before)-bytes.LastIndexByte(before, '\n')-1)
}

// kindName is what JSON calls a value of a Go type.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Pointer:
		return kindName(t.Elem())
	}
	return "a number that fits " + t.String()
}

func article(value string) string {
	if value == "array" || value == "object" {
		return "an"
	}
	return "a"
}
