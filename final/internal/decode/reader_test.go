//go:build linux

package decode

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// usual is what the reader must be able to read.
var usual = []string{
	`{}`, ` { } `, `null`, "\t{\r\n}\n", `{"hostname":null,"linux":null,"mounts":null,"annotations":null}`,
	`{"process": null, "process": {"args": ["a"]}, "process": {"args": [null, "b", "c"]}, "process": {"args": ["d"]}}`,
	`{"mounts": [{"type": "a"}, {"type": "b"}], "mounts": [{"source": "c"}], "mounts": [{}, {}, {"source": "d"}]}`,
	`{"annotations": {"a": "b"}, "annotations": {"a": null, "": "c"}}`, `{"annotations": {}, "mounts": [], "hooks": {}}`,
	`{"hostname": "\u0041\\\/\"\b\f\n\r\t\u00e9 ü \ufffd \u0000"}`, `{"process": {"terminal": true, "terminal": false}}`,
	`{"process": {"user": {"uid": 4294967295, "umask": 0, "additionalGids": [0, 1]}, "oomScoreAdj": -1000}}`,
	`{"linux": {"resources": {"memory": {"limit": -9223372036854775808, "swap": 9223372036854775807}}}}`,
	`{"linux": {"seccomp": {"syscalls": [{"args": [{"value": 18446744073709551615}]}]}}}`,
	`{"linux": {"netDevices": {"eth0": {"name": "e"}}, "timeOffsets": {"monotonic": {"secs": -1}}}}`,
}

// unusual is what it must leave to encoding/json, which takes some of it.
var unusual = []string{
	``, ` `, `nul`, `nullx`, `{}{}`, `{} x`, `[]`, `{"hostname"}`, `{"hostname":}`, `{"hostname":"a",}`, `{,}`,
	`{"hostname":"a" "b"}`, `{"nobody": "knows"}`, `{"Hostname": "a"}`, `{"windows": {}}`, `{"hostname": 1}`,
	`{"hostname": "a`, `{"hostname": "a\`, `{"hostname": "\u12`, `{"hostname": "\ud83d\ude00"}`, `{"hostname": "\x"}`,
	"{\"hostname\": \"\xff\"}", "{\"hostname\": \"\n\"}", `{"hostname": "\u+123"}`, `{"hostname": "\u12_3"}`,
	`{"process": {"user": {"uid": -1}}}`, `{"process": {"user": {"uid": 4294967296}}}`,
	`{"process": {"user": {"uid": 1e3}}}`, `{"process": {"user": {"uid": 01}}}`, `{"process": {"user": {"uid": -0}}}`,
	`{"process": {"user": {"uid": 1.0}}}`, `{"process": {"user": {"uid": - 1}}}`, `{"process": {"user": {"uid": "1"}}}`,
	`{"process": {"user": {"uid": }}}`, `{"process": {"oomScoreAdj": +1}}`, `{"process": {"terminal": truefalse}}`,
	`{"linux": {"resources": {"memory": {"limit": 9223372036854775808}}}}`, `{"process": []}`, `{"mounts": {}}`,
	`{"linux": {"resources": {"blockIO": {"weight": 65536}}}}`, `{"linux": {"intelRdt": {}}}`,
	`{"mounts": [}`, `{"mounts": [,]}`, `{"mounts": [{}`, `{"mounts": [{}]]`,
}

func TestUsual(t *testing.T) {
	for _, text := range usual {
		if !Read([]byte(text), &specs.Spec{}, specFields.Read) {
			t.Errorf("%s: left to encoding/json", text)
		}
	}
	for _, text := range unusual {
		if Read([]byte(text), &specs.Spec{}, specFields.Read) {
			t.Errorf("%s: not left to encoding/json", text)
		}
	}
}

// testdata are what engines send.
func testdata(t testing.TB) (texts [][]byte) {
	files, err := filepath.Glob("../plan/testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	return texts
}

// FuzzSpec: what the reader reads, encoding/json reads alike.
func FuzzSpec(f *testing.F) {
	for _, text := range testdata(f) {
		f.Add(text)
	}
	for _, text := range append(usual, unusual...) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got, want specs.Spec
		if !Read(text, &got, specFields.Read) {
			return
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("%q: encoding/json says: %v", text, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q (-encoding/json +ours):\n%s", text, cmp.Diff(want, got))
		}
	})
}

// TestEveryField: no field is forgotten, but for those that are refused in any case; and nothing that engines send.
func TestEveryField(t *testing.T) {
	var s specs.Spec
	fill(reflect.ValueOf(&s).Elem())
	s.Solaris, s.Windows, s.VM, s.ZOS, s.FreeBSD, s.Linux.IntelRdt = nil, nil, nil, nil, nil, nil
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var got specs.Spec
	if !Read(text, &got, specFields.Read) {
		t.Errorf("left to encoding/json: %s", text)
	}
	if diff := cmp.Diff(s, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range testdata(t) {
		if !Read(text, &specs.Spec{}, specFields.Read) {
			t.Errorf("left to encoding/json: %s", text)
		}
	}
}

// fill gives a value something in all its parts.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), value)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Interface: // windows.credentialSpec
	default:
		if v.CanInt() {
			v.SetInt(-7)
		} else {
			v.SetUint(7)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	text, err := os.ReadFile("../plan/testdata/docker.json")
	if err != nil {
		b.Fatal(err)
	}
	for name, read := range map[string]func() bool{
		"tables":        func() bool { return Read(text, &specs.Spec{}, specFields.Read) },
		"encoding/json": func() bool { return json.Unmarshal(text, &specs.Spec{}) == nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !read() {
					b.Fatal("not read")
				}
			}
		})
	}
}
