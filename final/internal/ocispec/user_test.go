//go:build linux

package ocispec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const passwd = `# users
root:x:0:0:root:/root:/bin/sh

www:x:33:34:web:/var/www:/bin/false
1000:x:7:8::/seven:
short:x:5
broken:x:many:1::/:
`

const group = `root:x:0:
staff:x:50:www,root
www:x:34:
logs:x:60:other,www
0060:x:61:
`

func TestLookUpUser(t *testing.T) {
	for _, test := range []struct {
		text   string
		groups []string
		want   User
		err    string
	}{
		{"", nil, User{Home: "/root", Groups: []uint32{50}}, ""},
		{"www", nil, User{33, 34, []uint32{50, 60}, "/var/www"}, ""},
		{"www:root", nil, User{33, 0, nil, "/var/www"}, ""},
		{"www:", nil, User{33, 34, []uint32{50, 60}, "/var/www"}, ""},
		{"33", nil, User{33, 34, []uint32{50, 60}, "/var/www"}, ""},
		{"33:99", []string{"logs", "7", "7"}, User{33, 99, []uint32{60, 7}, "/var/www"}, ""},
		{"4711", nil, User{UID: 4711}, ""},
		{":staff", nil, User{0, 50, nil, "/root"}, ""},
		{"1000", nil, User{7, 8, nil, "/seven"}, ""},
		{"www:0060", nil, User{33, 61, nil, "/var/www"}, ""},
		{"nobody", nil, User{}, `--user "nobody": no user nobody in the image's /etc/passwd`},
		{"www:none", nil, User{}, `--user "www:none": no group none in the image's /etc/group`},
		{"www", []string{"none"}, User{}, `--group-add "none": no group none`},
		{"-1", nil, User{}, "no user -1"},
		{"4294967295", nil, User{}, "no user 4294967295"},
		{"broken", nil, User{}, `uid "many"`},
		{"short", nil, User{}, `gid ""`},
	} {
		got, err := LookUpUser(test.text, test.groups, strings.NewReader(passwd), strings.NewReader(group))
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %+v, %v; want %q", test.text, got, err, test.err)
			}
			continue
		}
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%q: %v -want +got\n%s", test.text, err, diff)
		}
	}
	if u, err := LookUpUser("1:2", []string{"3"}, nil, nil); err != nil || !cmp.Equal(u, User{1, 2, []uint32{3}, ""}) {
		t.Errorf("without files: %+v, %v", u, err)
	}
}

// FuzzLookUpUser: an image's files may be anything.
func FuzzLookUpUser(f *testing.F) {
	f.Add("www:logs", passwd, group)
	f.Add("0", ":::::::\n", "\x00:\n:::")
	f.Fuzz(func(t *testing.T, text, passwd, group string) {
		u, err := LookUpUser(text, []string{"1"}, strings.NewReader(passwd), strings.NewReader(group))
		if err == nil && (u.UID >= 1<<31 || u.GID >= 1<<31) {
			t.Errorf("%q: %+v", text, u)
		}
	})
}
