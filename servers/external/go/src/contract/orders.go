package contract

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"unicode/utf8"
)

const (
	// MaxBody is the largest body of an order, in bytes.
	MaxBody      = 16 * 1024
	kept         = 65_536
	maxQty       = 1000
	limited      = 1000
	limitedUnits = 1000
)

// Order is an order as placed.
type Order struct {
	ID             int    `json:"id"`
	ItemID         string `json:"item_id"`
	Qty            int    `json:"qty"`
	UnitPriceCents int    `json:"unit_price_cents"`
	TotalCents     int    `json:"total_cents"`
	Status         string `json:"status"`
}

// OrderPage is a page of orders, the newest first.
type OrderPage struct {
	Orders []Order `json:"orders"`
	Page   int     `json:"page"`
	Limit  int     `json:"limit"`
	Total  int     `json:"total"`
}

// The newest orders, in a ring, and the stock of the one limited item.
type orders struct {
	mutex   sync.RWMutex
	ring    [kept]entry
	total   int
	limited int
}

// What an order is made from. Items are numbered; the last is the limited one.
type entry struct {
	item, qty int16
}

func (e entry) order(id int) Order {
	name, price := "SKU-LIMITED", 4999
	if e.item != limited {
		name = fmt.Sprintf("SKU-%03d", e.item)
		price = 100 + 37*int(e.item)%9900
	}
	return Order{ID: id, ItemID: name, Qty: int(e.qty), UnitPriceCents: price,
		TotalCents: price * int(e.qty), Status: "created"}
}

// Place accepts the order in the body of a request.
func (s *Store) Place(body []byte) (*Order, error) {
	new, err := parseOrder(body)
	if err != nil {
		return nil, err
	}
	o := &s.orders
	o.mutex.Lock()
	if new.item == limited {
		if o.limited < int(new.qty) {
			o.mutex.Unlock()
			return nil, outOfStock
		}
		o.limited -= int(new.qty)
	}
	o.total++
	id := o.total
	o.ring[id%kept] = new
	o.mutex.Unlock()
	order := new.order(id)
	return &order, nil
}

// Order finds an order by the id in a path.
func (s *Store) Order(text string) (*Order, error) {
	id, err := parseID(text)
	if err != nil {
		return nil, err
	}
	o := &s.orders
	o.mutex.RLock()
	found := o.ring[id%kept]
	exists := id >= 1 && id <= o.total && id > o.total-kept
	o.mutex.RUnlock()
	if !exists {
		return nil, NotFound
	}
	order := found.order(id)
	return &order, nil
}

// Orders returns a page of orders; query reads a parameter of the query and whether it was given.
func (s *Store) Orders(query func(name string) (string, bool)) (*OrderPage, error) {
	limit, page, err := parsePage(query, 20, 100)
	if err != nil {
		return nil, err
	}
	o := &s.orders
	entries := make([]entry, 0, limit)
	o.mutex.RLock()
	total := o.total
	newest := total - (page-1)*limit
	for id := newest; id > newest-limit && id > total-kept && id >= 1; id-- {
		entries = append(entries, o.ring[id%kept])
	}
	o.mutex.RUnlock()
	orders := make([]Order, len(entries))
	for i, entry := range entries {
		orders[i] = entry.order(newest - i)
	}
	return &OrderPage{Orders: orders, Page: page, Limit: limit, Total: total}, nil
}

// encoding/json alone would be too lenient: it takes "Qty" for "qty", and replaces bytes that aren't UTF-8. So
// members are read by their exact names, and the text is checked first.
func parseOrder(body []byte) (entry, error) {
	var members map[string]json.RawMessage
	if !utf8.Valid(body) {
		return entry{}, malformedJSON("the body is not UTF-8")
	}
	if err := json.Unmarshal(body, &members); err != nil {
		if _, shape := err.(*json.UnmarshalTypeError); shape {
			return entry{}, invalidOrder("an order is an object")
		}
		return entry{}, malformedJSON(err.Error())
	}
	item, err := parseItem(members["item_id"])
	if err != nil {
		return entry{}, err
	}
	qty, err := strconv.ParseUint(string(members["qty"]), 10, 16)
	if err != nil || qty < 1 || qty > maxQty {
		return entry{}, invalidOrder("qty is a whole number from 1 to 1000")
	}
	return entry{item: item, qty: int16(qty)}, nil
}

func parseItem(member json.RawMessage) (int16, error) {
	var name string
	if len(member) == 0 || member[0] != '"' || json.Unmarshal(member, &name) != nil {
		return 0, invalidOrder("item_id is a string")
	}
	if name == "SKU-LIMITED" {
		return limited, nil
	}
	if len(name) == 7 && name[:4] == "SKU-" && isDigits(name[4:]) {
		number, _ := strconv.Atoi(name[4:])
		return int16(number), nil
	}
	return 0, invalidOrder("no such item")
}
