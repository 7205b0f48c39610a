//go:build linux

package ocispec

import (
	"cmp"
	"strings"
)

// LSM is what the security modules call a container. Of what is empty, they are told nothing.
type LSM struct {
	Profile string // of AppArmor
	Process string // the context that SELinux gives its processes
	Files   string // and the files that it is made of
}

// LSM is that of the options. With AppArmor, a container that is told nothing gets the default profile, unless it
// is to be held back from nothing; SELinux is told nothing without --security-opt.
func (o Options) LSM(h Host) (l LSM, err error) {
	s := o.Security
	switch {
	case s.AppArmor == Unconfined || s.AppArmor == "" && o.Privileged:
	case s.AppArmor == "":
		l.Profile = h.Profile
	case !h.AppArmor:
		return l, refuse("security-opt", "apparmor="+s.AppArmor, "AppArmor is not switched on here")
	default:
		l.Profile = s.AppArmor
	}
	if s.Label.Disable || s.Label == (Label{}) {
		return l, nil
	}
	if !h.SELinux {
		return l, refuse("security-opt", "label=...", "SELinux is not switched on here")
	}
	for _, m := range o.Mounts {
		if m.Relabel != "" {
			return l, refuse("volume", m.Source+":"+m.Target+":"+m.Relabel, "files get no other label here: chcon -R -t container_file_t "+m.Source)
		}
	}
	user, level := cmp.Or(s.Label.User, "system_u"), cmp.Or(s.Label.Level, "s0")
	role, kind := cmp.Or(s.Label.Role, "system_r"), cmp.Or(s.Label.Type, "container_t")
	l.Process = strings.Join([]string{user, role, kind, level}, ":")
	l.Files = strings.Join([]string{user, "object_r", "container_file_t", level}, ":")
	return l, nil
}
