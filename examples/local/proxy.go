package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gotd/td/telegram/dcs"
	"golang.org/x/net/proxy"
)

// proxyResolver makes the connections to Telegram over a proxy. Its error does not hold the
// address, in which there may be a password or the proxy's secret.
func proxyResolver(address string) (dcs.Resolver, error) {
	unusable := errors.New("-proxy: use socks5://host:port, socks5://user:password@host:port or mtproxy://secret@host:port, with the secret in hex or base64url")
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, unusable
	}
	switch u.Scheme {
	case "socks5":
		var user *proxy.Auth
		if u.User != nil {
			password, _ := u.User.Password()
			user = &proxy.Auth{User: u.User.Username(), Password: password}
		}
		dialer, err := proxy.SOCKS5("tcp", u.Host, user, nil)
		if err != nil {
			return nil, unusable
		}
		return dcs.Plain(dcs.PlainOptions{Dial: dialer.(proxy.ContextDialer).DialContext}), nil
	case "mtproxy":
		secret, err := hex.DecodeString(u.User.Username())
		if err != nil {
			secret, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(u.User.Username(), "="))
		}
		if err != nil {
			return nil, unusable
		}
		resolver, err := dcs.MTProxy(u.Host, secret, dcs.MTProxyOptions{})
		if err != nil {
			return nil, unusable
		}
		return resolver, nil
	}
	return nil, unusable
}

// clientAddress returns a provisioning.Config.ClientAddress: the last element of a header,
// which is what a reverse proxy adds itself. A request without it did not come by the proxy.
func clientAddress(header string) func(*http.Request) string {
	return func(r *http.Request) string {
		elements := strings.Split(strings.Join(r.Header.Values(header), ","), ",")
		if last := strings.TrimSpace(elements[len(elements)-1]); last != "" {
			return last
		}
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			return r.RemoteAddr
		}
		return host
	}
}
