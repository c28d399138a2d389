package contract

import "time"

// MaxUpload is the largest body of an upload, in bytes.
const MaxUpload = 64 * 1024

// Waited is the response to a wait.
type Waited struct {
	MS int `json:"ms"`
}

// Wait waits as long as the query asks for. Only the goroutine sleeps.
func Wait(query func(name string) (string, bool)) (*Waited, error) {
	ms, err := inRange(query, "ms", 15, 0, 1000)
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Duration(ms) * time.Millisecond)
	return &Waited{ms}, nil
}

// Uploaded is the response to an upload.
type Uploaded struct {
	Bytes int `json:"bytes"`
	Sum   int `json:"sum"`
}

// Upload counts and sums the bytes of a body.
func Upload(body []byte) *Uploaded {
	sum := 0
	for _, b := range body {
		sum += int(b)
	}
	return &Uploaded{len(body), sum}
}
