//go:build linux && !engine

package main

import "regexp"

// each calls do for a container, or with regex for all whose id matches.
func (s *session) each(id string, regex bool, do func(id string) error) error {
	if !regex {
		return do(id)
	}
	pattern, err := regexp.Compile(id)
	if err != nil {
		return err
	}
	list, err := s.runtime().List()
	if err != nil {
		return err
	}
	for _, c := range list {
		if !pattern.MatchString(c.ID) {
			continue
		}
		if err := do(c.ID); err != nil {
			return err
		}
	}
	return nil
}
