// Package contract has everything that the Go servers share: data, store, validation, flags, graceful stop.
package contract

import "fmt"

var first = [16]string{"Ada", "Alan", "Barbara", "Claude", "Donald", "Edsger", "Frances", "Grace",
	"Hedy", "John", "Katherine", "Leslie", "Margaret", "Niklaus", "Zoë", "明"}

var last = [16]string{"Allen", "Backus", "Dijkstra", "Engelbart", "Hamilton", "Hopper", "Johnson", "Knuth",
	"Lamarr", "Lamport", "Liskov", "Lovelace", "Shannon", "Turing", "Wirth", "Łukasiewicz"}

const userCount = 10_000

// Ping is the response to GET /ping.
type Ping struct {
	Status string `json:"status"`
}

// User is one of the 10,000 users.
type User struct {
	ID        int    `json:"id"`
	Name      string `json:"name"`
	Email     string `json:"email"`
	Status    string `json:"status"`
	CreatedAt int    `json:"created_at"`
}

// UserPage is a page of users.
type UserPage struct {
	Users []*User `json:"users"`
	Page  int     `json:"page"`
	Limit int     `json:"limit"`
	Total int     `json:"total"`
}

// Store holds users and orders. It may be used by many goroutines.
type Store struct {
	// By status; the key "" has all of them.
	users  map[string][]*User
	orders orders
}

// NewStore makes the data that every start begins with.
func NewStore() *Store {
	s := &Store{users: map[string][]*User{}}
	s.orders.limited = limitedUnits
	for id := 1; id <= userCount; id++ {
		user := &User{
			ID:        id,
			Name:      first[id%16] + " " + last[id/16%16],
			Email:     fmt.Sprintf("user%d@example.com", id),
			Status:    statusOf(id),
			CreatedAt: 1_700_000_000 + 60*id,
		}
		s.users[""] = append(s.users[""], user)
		s.users[user.Status] = append(s.users[user.Status], user)
	}
	return s
}

func statusOf(id int) string {
	switch {
	case id%10 < 6:
		return "active"
	case id%10 < 8:
		return "pending"
	default:
		return "archived"
	}
}

// User finds a user by the id in a path.
func (s *Store) User(text string) (*User, error) {
	id, err := parseID(text)
	if err != nil {
		return nil, err
	}
	if id < 1 || id > userCount {
		return nil, NotFound
	}
	return s.users[""][id-1], nil
}

// Users returns a page of users; query reads a parameter of the query and whether it was given.
func (s *Store) Users(query func(name string) (string, bool)) (*UserPage, error) {
	status, given := query("status")
	all, known := s.users[status]
	if given && (status == "" || !known) {
		return nil, invalidParameter("status is active, pending or archived")
	}
	limit, page, err := parsePage(query, 20, 100)
	if err != nil {
		return nil, err
	}
	return pageOf(all, limit, page), nil
}

// Download returns a long page of users of any status.
func (s *Store) Download(query func(name string) (string, bool)) (*UserPage, error) {
	limit, page, err := parsePage(query, 600, 1000)
	if err != nil {
		return nil, err
	}
	return pageOf(s.users[""], limit, page), nil
}

func pageOf(all []*User, limit, page int) *UserPage {
	from := min((page-1)*limit, len(all))
	to := min(from+limit, len(all))
	return &UserPage{Users: all[from:to], Page: page, Limit: limit, Total: len(all)}
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}
