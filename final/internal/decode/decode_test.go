//go:build linux

package decode

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "empty: want a JSON object",
		" \n":                                    "empty: want a JSON object",
		"{\n  \"root\": {,}\n}":                  "line 2, column 12: invalid character ',' looking for beginning of object key string",
		"{\"process\": {\n\"args\": \"sh\"}}":    "line 2, column 12: process.args: want an array, not a string",
		"{\"process\": {\"terminal\": \"yes\"}}": "process.terminal: want true or false, not a string",
		"{\"linux\": []}":                        "linux: want an object, not an array",
		"{\"process\": {\"user\": {\"uid\": -1}}}": "process.user.uid: want a number that fits uint32, not a number -1",
		"{\"hostname\": \"a\"":                     "unexpected end of JSON input",
		"{\"nobody\": {\"knows\": 1}}":             "",
	} {
		err := Decode([]byte(text), &specs.Spec{})
		if want == "" && err == nil {
			continue
		}
		if err == nil || want == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got: %v\nwant: %s", text, err, want)
		}
	}
}
