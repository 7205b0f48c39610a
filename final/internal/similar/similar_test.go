package similar

import "testing"

func TestName(t *testing.T) {
	names := []string{"web", "database", "alpine"}
	for typed, want := range map[string]string{
		"wep": "web", "databse": "database", "alpne": "alpine", "alpnie": "alpine", "quite other": "", "x": "", "we": "web", "web": "", "": "",
	} {
		if got := Name(typed, names); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}
