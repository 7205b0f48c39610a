//go:build linux

package image

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestChange(t *testing.T) {
	config := v1.Config{Cmd: []string{"old"}, Env: []string{"PATH=/bin"}, WorkingDir: "/a"}
	err := Change(&config, []string{
		`ENTRYPOINT ["/init", "--"]`, `cmd echo "a b" $HOME`, `ENV PATH=/usr/bin GREETING="hello world" EMPTY=`, `ENV TEXT all of the rest`,
		`EXPOSE 80 53/udp`, `VOLUME ["/data", "/more data"]`, `VOLUME /x /y`, `USER 1000:1000`, `WORKDIR b/../c`, `STOPSIGNAL SIGINT`,
		`LABEL a=1 "b c"="d e"`, `ONBUILD RUN true`,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{
		Entrypoint: []string{"/init", "--"}, Cmd: []string{"/bin/sh", "-c", `echo "a b" $HOME`},
		Env:          []string{"PATH=/usr/bin", "GREETING=hello world", "EMPTY=", "TEXT=all of the rest"},
		ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}},
		Volumes:      map[string]struct{}{"/data": {}, "/more data": {}, "/x": {}, "/y": {}},
		User:         "1000:1000", WorkingDir: "/a/c", StopSignal: "SIGINT",
		Labels: map[string]string{"a": "1", "b c": "d e"}, OnBuild: []string{"RUN true"},
	}
	if diff := cmp.Diff(want, config); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	config = v1.Config{Cmd: []string{"old"}}
	if err := Change(&config, []string{"ENTRYPOINT new"}); err != nil || config.Cmd != nil {
		t.Errorf("a new entry point: %v, command %q; want none", err, config.Cmd)
	}
	for _, bad := range []string{"RUN make", "CMD", "", "ENV lonely", "ENV a=1 b", `LABEL a="1`} {
		if err := Change(&v1.Config{}, []string{bad}); err == nil || !strings.Contains(err.Error(), "change ") {
			t.Errorf("%q: %v, want it refused", bad, err)
		}
	}
}
