package contract

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// HeadLimit is how long a connection may be idle, or take to send the head of a request.
const HeadLimit = 75 * time.Second

// Grace is how long open connections may hold up the exit.
const Grace = 3 * time.Second

// Listen reads the command line, sets the number of threads that run Go code, and listens. A bad flag ends the
// process with status 2, an address in use with status 1.
func Listen() net.Listener {
	addr := "127.0.0.1:8080"
	flag.Func("addr", "address and port to listen on (default "+addr+")", func(text string) error {
		addr = text
		_, err := netip.ParseAddrPort(text)
		return err
	})
	flag.Func("workers", "threads that run Go code (default: one for each CPU)", func(text string) error {
		workers, err := strconv.ParseUint(text, 10, 16)
		if err != nil || workers == 0 {
			return errors.New("it is a number from 1")
		}
		runtime.GOMAXPROCS(int(workers))
		return nil
	})
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "error: unexpected argument", flag.Arg(0))
		os.Exit(2)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	return listener
}

// Stopped receives the signal that asks the server to stop.
func Stopped() <-chan os.Signal {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	return stop
}
