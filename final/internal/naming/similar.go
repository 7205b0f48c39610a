package naming

// Similar returns the name that differs the least from what was typed, if a slip of the hand could explain it; else "". The
// very same explains nothing: it may be there only since it was looked for.
func Similar(typed string, names []string) string {
	best, least := "", 3
	for _, name := range names {
		if d := distance(name, typed); d > 0 && d < least && d < len(typed) {
			best, least = name, d
		}
	}
	return best
}

// distance is how many characters are to be changed, added or taken away to make a of b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
