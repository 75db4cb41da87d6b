package socket

import (
	"fmt"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"golang.org/x/sys/unix"
)

// Listen returns a socket of that path to which this user's processes can connect. What
// there may be of that path is replaced.
func Listen(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("listening: %w", err)
	}
	if err := listen(fd, path); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("listening at %s: %w", path, err)
	}
	return fd, nil
}

func listen(fd int, path string) error {
	if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
		return err
	}
	// The file gets the mode of the socket, less the umask, and so is never accessible
	// to others (unix(7)).
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	fault.Here("socket bound")
	if err := unix.Chmod(path, 0o600); err != nil {
		return err
	}
	return unix.Listen(fd, unix.SOMAXCONN)
}

// Accept returns a connection of this user's. Errors: unix.EAGAIN, if there is none.
func Accept(listener int) (int, error) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			if err := checkPeer(fd); err == nil {
				return fd, nil
			}
			_ = unix.Close(fd)
		case unix.EINTR, unix.ECONNABORTED:
		default:
			return -1, err
		}
	}
}

// Connect returns a connection with the socket of that path. Errors: unix.ENOENT,
// unix.EACCES, unix.ECONNREFUSED, if nobody listens there, or not yet; unix.EAGAIN, if
// many wait.
func Connect(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if err == nil {
		err = checkPeer(fd)
	}
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// checkPeer makes sure that the other side is this user's.
func checkPeer(fd int) error {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return err
	}
	if peer.Uid != uint32(unix.Geteuid()) {
		return unix.EPERM
	}
	return nil
}

// Welcome tells the other side of a connection that it is one. unix.EPIPE: it is gone.
func Welcome(fd int) error { return Ring(int32(fd)) }

// Welcomed reports whether the other side has done so. io.EOF: it never will.
func Welcomed(fd int) (bool, error) {
	handle, err := ReadHandle(int32(fd))
	switch {
	case err == unix.EAGAIN:
		return false, nil
	case err != nil:
		return false, err
	case handle >= 0:
		_ = unix.Close(handle)
		return false, unix.EBADMSG
	}
	return true, nil
}
