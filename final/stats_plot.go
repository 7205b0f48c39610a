//go:build linux && !engine

package main

import "strings"

// bars are eighths of a line's height.
var bars = []rune(" ▁▂▃▄▅▆▇█")

// bar is a share from 0 to 1. What is more than nothing is seen.
func bar(share float64) rune {
	switch {
	case share <= 0:
		return bars[0]
	case share >= 1:
		return bars[len(bars)-1]
	}
	return bars[1+int(share*float64(len(bars)-1))]
}

// nearness is the colour of something that should stay below 1.
func nearness(share float64) string {
	switch {
	case share >= 0.95:
		return red
	case share >= 0.8:
		return yellow
	}
	return ""
}

// plot draws the latest moments that fit, at the right end of a width.
func (h *history) plot(width int, of func(moment) (share float64, colour string)) string {
	moments := h.moments[max(0, len(h.moments)-width):]
	var text strings.Builder
	text.WriteString(strings.Repeat(" ", width-len(moments)))
	last := ""
	for _, m := range moments {
		share, colour := of(m)
		if colour == "" {
			colour = green
		}
		if colour != last {
			text.WriteString(colour)
			last = colour
		}
		text.WriteRune(bar(share))
	}
	if last != "" {
		text.WriteString(plain)
	}
	return text.String()
}

func (h *history) plotCPU(width int) string {
	return h.plot(width, func(m moment) (float64, string) { return m.cpu / m.quota, m.cpuColour() })
}

func (h *history) plotMemory(width int) string {
	return h.plot(width, func(m moment) (float64, string) { return m.memory, nearness(m.memory) })
}

func (m moment) cpuColour() string {
	if m.throttled {
		return red
	}
	return ""
}

func (h *history) cpuColour() string {
	if len(h.moments) == 0 {
		return ""
	}
	return h.moments[len(h.moments)-1].cpuColour()
}

func (h *history) memoryColour() string {
	if len(h.moments) == 0 {
		return ""
	}
	return nearness(h.moments[len(h.moments)-1].memory)
}
