//go:build linux

package ocispec

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A User is who a process runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32 // further ones
	Home     string   // empty if passwd does not say
}

// LookUpUser resolves --user, or an image's user, and --group-add by a root file system's /etc/passwd and /etc/group;
// either may be nil where there is no such file. The text is name, uid, name:group, uid:gid and so on; empty is
// root. A name must be in the file. A number need not: its group is then 0.
//
// Who comes with a group of its own has none of those that the file lists for the name.
func LookUpUser(text string, groups []string, passwd, group io.Reader) (User, error) {
	name, groupName, withGroup := strings.Cut(text, ":")
	if name == "" {
		name = "0"
	}
	users, err := readColons(passwd, 7)
	if err != nil {
		return User{}, fmt.Errorf("read /etc/passwd: %w", err)
	}
	all, err := readColons(group, 4)
	if err != nil {
		return User{}, fmt.Errorf("read /etc/group: %w", err)
	}
	u, login, err := findUser(users, name)
	if err != nil {
		return u, refuse("user", text, err.Error())
	}
	if withGroup && groupName != "" {
		if u.GID, err = findGroup(all, groupName); err != nil {
			return u, refuse("user", text, err.Error())
		}
	} else if login != "" {
		for _, g := range all {
			if slices.Contains(strings.Split(g[3], ","), login) {
				u.add(g[2])
			}
		}
	}
	for _, name := range groups {
		gid, err := findGroup(all, name)
		if err != nil {
			return u, refuse("group-add", name, err.Error())
		}
		u.add(strconv.FormatUint(uint64(gid), 10))
	}
	return u, nil
}

// mostGroups is how many the kernel lets a process have (NGROUPS_MAX).
const mostGroups = 65536

// add adds a further group; a line whose number is none, and what is too many, is passed over.
func (u *User) add(number string) {
	gid, err := parseID(number)
	if err == nil && len(u.Groups) < mostGroups && !slices.Contains(u.Groups, gid) {
		u.Groups = append(u.Groups, gid)
	}
}

// findUser looks for a line of passwd: name:x:uid:gid:comment:home:shell. A name of digits wins over a number.
func findUser(users [][]string, name string) (u User, login string, err error) {
	number, numberErr := parseID(name)
	for _, by := range []func(line []string) bool{
		func(line []string) bool { return line[0] == name },
		func(line []string) bool {
			id, err := parseID(line[2])
			return numberErr == nil && err == nil && id == number
		},
	} {
		at := slices.IndexFunc(users, by)
		if at < 0 {
			continue
		}
		line := users[at]
		uid, err := parseID(line[2])
		if err != nil {
			return u, "", fmt.Errorf("/etc/passwd: %s: uid %q: %w", line[0], line[2], err)
		}
		gid, err := parseID(line[3])
		if err != nil {
			return u, "", fmt.Errorf("/etc/passwd: %s: gid %q: %w", line[0], line[3], err)
		}
		return User{UID: uid, GID: gid, Home: line[5]}, line[0], nil
	}
	if numberErr != nil {
		return u, "", fmt.Errorf("no user %s in the image's /etc/passwd", name)
	}
	return User{UID: number}, "", nil
}

// findGroup looks for a line of group: name:x:gid:user,user.
func findGroup(groups [][]string, name string) (uint32, error) {
	for _, line := range groups {
		if line[0] == name {
			return parseID(line[2])
		}
	}
	gid, err := parseID(name)
	if err != nil {
		return 0, fmt.Errorf("no group %s in the image's /etc/group", name)
	}
	return gid, nil
}

// parseID reads a user's or group's number. The highest are not ids: the kernel means "leave it" by -1, and tools
// have trouble from half way on.
func parseID(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("want a number from 0 to %d", 1<<31-1)
	}
	return uint32(id), nil
}

// readColons reads a file of lines with fields between colons. What has too few of them counts as having empty
// ones; comments, and lines of nothing, are passed over.
func readColons(file io.Reader, fields int) (lines [][]string, err error) {
	if file == nil {
		return nil, nil
	}
	text := bufio.NewScanner(file)
	text.Buffer(nil, 1<<20) // a group may have many members
	for text.Scan() {
		line := strings.TrimSpace(text.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		parts := strings.Split(line, ":")
		for len(parts) < fields {
			parts = append(parts, "")
		}
		lines = append(lines, parts)
	}
	return lines, text.Err()
}
