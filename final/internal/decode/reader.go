//go:build linux

package decode

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Reader reads what is right and as usual, and judges nothing: at whatever is wrong, or only unusual (a field
// that the table has not, half of a surrogate pair), it is unsure. Then it stays so, and what it has read is to be
// thrown away. What it does read, it reads as encoding/json does, and FuzzSpec holds it to that.
type Reader struct {
	text   string
	at     int
	unsure bool
}

// Read reads a whole text, and tells whether it could.
func Read[T any](text []byte, into *T, read func(*Reader, *T)) bool {
	r := &Reader{text: string(text)}
	read(r, into)
	r.space()
	return !r.unsure && r.at == len(r.text)
}

// Unsure says that encoding/json is to be asked.
func (r *Reader) Unsure() { r.unsure = true }

// space passes over white space.
func (r *Reader) space() {
	for ; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case ' ', '\t', '\n', '\r':
		default:
			return
		}
	}
}

// take passes over what comes next, if it is this.
func (r *Reader) take(what string) bool {
	r.space()
	if r.unsure || !strings.HasPrefix(r.text[r.at:], what) {
		return false
	}
	r.at += len(what)
	return true
}

// want passes over what has to come next.
func (r *Reader) want(what string) {
	if !r.take(what) {
		r.Unsure()
	}
}

// null is left out: it leaves a value as it is.
func (r *Reader) null() bool { return r.take("null") }

// items reads what is between two brackets.
func (r *Reader) items(open, end string, item func()) {
	r.want(open)
	if r.take(end) {
		return
	}
	for !r.unsure {
		item()
		if !r.take(",") {
			r.want(end)
			return
		}
	}
}

// A Field is a field of an object, and how its value is read.
type Field[T any] struct {
	Name string
	Read func(*Reader, *T)
}

// Fields are all that an object can have.
type Fields[T any] []Field[T]

// Read reads an object.
func (f Fields[T]) Read(r *Reader, v *T) {
	if r.null() {
		return
	}
	r.items("{", "}", func() {
		name := r.string()
		r.want(":")
		for i := range f {
			if f[i].Name == name {
				f[i].Read(r, v)
				return
			}
		}
		r.Unsure()
	})
}

// Map reads an object with any names.
func Map[T any](r *Reader, v *map[string]T, read func(*Reader, *T)) {
	if r.null() {
		*v = nil
		return
	}
	if *v == nil {
		*v = map[string]T{}
	}
	r.items("{", "}", func() {
		var value T
		name := r.string()
		r.want(":")
		read(r, &value)
		(*v)[name] = value
	})
}

// List reads an array. If there is one already, since the object has the field twice, the new one is read over
// it, as encoding/json does.
func List[T any](r *Reader, v *[]T, read func(*Reader, *T)) {
	if r.null() {
		*v = nil
		return
	}
	list, n := *v, 0
	r.items("[", "]", func() {
		if n == cap(list) {
			var zero T
			list = append(list, zero)
		}
		list = list[:max(n+1, len(list))]
		read(r, &list[n])
		n++
	})
	if list == nil {
		list = []T{}
	}
	*v = list[:n]
}

// Pointer reads a value that may be missing.
func Pointer[T any](r *Reader, v **T, read func(*Reader, *T)) {
	if r.null() {
		*v = nil
		return
	}
	if *v == nil {
		*v = new(T)
	}
	read(r, *v)
}

// Bool reads true or false.
func Bool(r *Reader, v *bool) {
	switch {
	case r.null():
	case r.take("true"):
		*v = true
	default:
		r.want("false")
		*v = false
	}
}

// Number reads an integer.
func Number[T ~int | ~int32 | ~int64 | ~uint | ~uint16 | ~uint32 | ~uint64](r *Reader, v *T) {
	if r.null() {
		return
	}
	negative := r.take("-")
	digits := r.at
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		r.at++
	}
	text := r.text[digits:r.at]
	size, err := strconv.ParseUint(text, 10, 64)
	n := T(size)
	if negative {
		n = -n
	}
	fits := n >= 0 && uint64(n) == size
	if negative {
		fits = n < 0 && uint64(-n) == size
	}
	if err != nil || !fits || text[0] == '0' && len(text) > 1 {
		r.Unsure()
	}
	*v = n
}

// Text reads a string.
func Text[T ~string](r *Reader, v *T) {
	if !r.null() {
		*v = T(r.string())
	}
}

func (r *Reader) string() string {
	r.want(`"`)
	text := r.plain()
	if r.take("\"") {
		return text
	}
	whole := []byte(text)
	for !r.unsure && r.text[r.at] == '\\' {
		whole = append(whole, r.escaped()...)
		whole = append(whole, r.plain()...)
	}
	r.want(`"`)
	return string(whole)
}

// plain reads up to the end of the string, or to a backslash.
func (r *Reader) plain() string {
	begin := r.at
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '"' || c == '\\':
			text := r.text[begin:r.at]
			if !utf8.ValidString(text) { // else encoding/json repairs it
				r.Unsure()
			}
			return text
		case c < ' ':
			r.Unsure()
			return ""
		}
	}
	r.Unsure()
	return ""
}

// escapes are the characters behind a backslash, and those that they mean.
const escapes, meant = `"\/bfnrt`, "\"\\/\b\f\n\r\t"

// escaped reads a backslash and what belongs to it.
func (r *Reader) escaped() string {
	rest := r.text[r.at+1:]
	if len(rest) > 4 && rest[0] == 'u' {
		r.at += len(`\u0000`)
		n, err := strconv.ParseUint(rest[1:5], 16, 16)
		if err != nil || !utf8.ValidRune(rune(n)) {
			r.Unsure()
		}
		return string(rune(n))
	}
	r.at += len(`\n`)
	for i := range len(escapes) {
		if strings.HasPrefix(rest, escapes[i:i+1]) {
			return meant[i : i+1]
		}
	}
	r.Unsure()
	return ""
}
