//go:build linux

package engine

import (
	"context"
	"errors"
	"testing"

	"github.com/simple-container/simple-container/final/internal/image"
)

// TestPlatform: an image that is here for another platform is not taken for the one that was asked for.
func TestPlatform(t *testing.T) {
	w := newWorld(t)
	w.create(nil, "true") // the lab is here
	images, err := w.Images()
	w.must(err)
	w.must(images.Tag("lab", "same:1"))
	pulled := errors.New("pulled")
	for _, try := range []struct {
		image, platform string
		wish            PullWish
		pulls           bool
	}{
		{"same:1", "linux/s390x", PullMissing, true}, {"same:1", "linux/s390x", PullNever, false}, {"lab", "linux/s390x", PullMissing, false},
	} {
		o := CreateOptions{Image: try.image, Platform: try.platform, Wish: try.wish}
		o.Args = []string{"true"}
		o.Pull = func(context.Context, *image.Store, string) (*image.Image, error) { return nil, pulled }
		_, err := w.Create(context.Background(), o)
		_, other := errors.AsType[*image.PlatformError](err)
		if errors.Is(err, pulled) != try.pulls || other == try.pulls {
			t.Errorf("%+v: %v", try, err)
		}
	}
}
