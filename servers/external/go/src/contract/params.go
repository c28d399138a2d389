package contract

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxID   = 1<<53 - 1
	maxPage = 1_000_000
)

// Query reads parameters of a parsed query.
func Query(values url.Values) func(name string) (string, bool) {
	return func(name string) (string, bool) {
		given, ok := values[name]
		if !ok {
			return "", false
		}
		return given[0], true
	}
}

// IsJSON tells whether this Content-Type is application/json, with or without parameters.
func IsJSON(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/json")
}

func isDigits(text string) bool {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return text != ""
}

func parseID(text string) (int, error) {
	id, err := strconv.Atoi(text)
	if !isDigits(text) || err != nil || id > maxID {
		return 0, invalidParameter("an id is digits, at most 2^53 - 1")
	}
	return id, nil
}

func parsePage(query func(name string) (string, bool), absent, max int) (limit, page int, err error) {
	if limit, err = inRange(query, "limit", absent, 1, max); err != nil {
		return
	}
	page, err = inRange(query, "page", 1, 1, maxPage)
	return
}

func inRange(query func(name string) (string, bool), name string, absent, min, max int) (int, error) {
	text, given := query(name)
	if !given {
		return absent, nil
	}
	number, err := strconv.Atoi(text)
	if !isDigits(text) || err != nil || number < min || number > max {
		return 0, invalidParameter(fmt.Sprintf("%s is a number from %d to %d", name, min, max))
	}
	return number, nil
}
