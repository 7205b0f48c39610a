//go:build linux

package rootfs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParseOptions(t *testing.T) {
	for _, test := range []struct {
		list string
		want options
	}{
		{"defaults", options{}},
		{"ro,nosuid,nodev,noexec", options{set: unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC}},
		{"ro,rw", options{clear: unix.MS_RDONLY}},
		{"rw,ro", options{set: unix.MS_RDONLY}},
		{"suid,dev,exec,symfollow", options{clear: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOSYMFOLLOW}},
		{"nosymfollow", options{set: unix.MS_NOSYMFOLLOW}},
		{"noatime,relatime", options{set: unix.MS_RELATIME, clear: unix.MS_NOATIME | unix.MS_STRICTATIME}},
		{"strictatime,nodiratime", options{
			set: unix.MS_STRICTATIME | unix.MS_NODIRATIME, clear: unix.MS_NOATIME | unix.MS_RELATIME}},
		{"atime,diratime,norelatime,nostrictatime", options{
			clear: unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME | unix.MS_STRICTATIME}},
		{"sync,dirsync,mand,lazytime,iversion,silent", options{set: superFlags | unix.MS_SILENT}},
		{"async,nomand,nolazytime,noiversion,loud", options{
			clear: superFlags&^unix.MS_DIRSYNC | unix.MS_SILENT}},
		{"rbind,rprivate", options{bind: unix.MS_BIND | unix.MS_REC, propagation: []uintptr{unix.MS_PRIVATE | unix.MS_REC}}},
		{"bind,slave,shared", options{bind: unix.MS_BIND, propagation: []uintptr{unix.MS_SLAVE, unix.MS_SHARED}}},
		{"rro,rnosuid,rexec", options{rset: unix.MS_RDONLY | unix.MS_NOSUID, rclear: unix.MS_NOEXEC}},
		{"rrelatime", options{rset: unix.MS_RELATIME, rclear: unix.MS_NOATIME | unix.MS_STRICTATIME}},
		{"rrw,rsymfollow", options{rclear: unix.MS_RDONLY | unix.MS_NOSYMFOLLOW}},
		{"remount,bind", options{remount: true, bind: unix.MS_BIND}},
		{"idmap", options{idmap: unix.MS_BIND}},
		{"ridmap,tmpcopyup", options{idmap: unix.MS_BIND | unix.MS_REC, copyUp: true}},
		{"size=1m,mode=755,_netdev,x-systemd.automount,rsync,r", options{
			data: []string{"size=1m", "mode=755", "rsync", "r"}}},
	} {
		got := parseOptions(strings.Split(test.list, ","))
		if diff := cmp.Diff(fmt.Sprintf("%+v", test.want), fmt.Sprintf("%+v", got)); diff != "" {
			t.Errorf("%s: - wanted, + got:\n%s", test.list, diff)
		}
	}
}

func TestChanges(t *testing.T) {
	for _, test := range []struct{ list, want string }{
		{"ro,exec", "{set=MOUNT_ATTR_RDONLY, clr=MOUNT_ATTR_NOEXEC}"},
		{"noatime", "{set=MOUNT_ATTR_NOATIME, clr=MOUNT_ATTR__ATIME}"},
		{"strictatime,nosymfollow", "{set=MOUNT_ATTR_STRICTATIME|MOUNT_ATTR_NOSYMFOLLOW, clr=MOUNT_ATTR__ATIME}"},
		{"relatime", "{clr=MOUNT_ATTR__ATIME}"},
		{"atime", "{clr=MOUNT_ATTR__ATIME}"},
		{"nodiratime", "{set=MOUNT_ATTR_NODIRATIME}"},
		{"", "{}"},
	} {
		o := parseOptions(strings.Split(test.list, ","))
		if got := changes(o.set, o.clear).String(); got != test.want {
			t.Errorf("%s: %s, want %s", test.list, got, test.want)
		}
	}
}
