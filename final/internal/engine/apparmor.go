//go:build linux

package engine

import (
	_ "embed"
	"fmt"
)

// DefaultProfile is the AppArmor profile of containers that are told no other (--security-opt apparmor=), where the
// kernel can be given it. It stays loaded, as nobody knows who uses it yet, and is gone with the next boot.
const DefaultProfile = "simple-container-default"

//go:embed apparmor.profile
var profileText string

// loadProfile has the kernel know the profile of a container, if that is ours. Others are their owners' to load.
func (e *Engine) loadProfile(name string) error {
	if name != DefaultProfile {
		return nil
	}
	if err := e.Door.LoadProfile(name, profileText); err != nil {
		return fmt.Errorf("AppArmor profile %s: %w; --security-opt apparmor=unconfined does without", name, err)
	}
	return nil
}
