// Package metrics has the Prometheus metrics of the provisioning API: a [Collector],
// which the host registers where its own metrics are and gives to provisioning.Config
// and telegram.Config. Neither of these packages needs Prometheus, and this one needs
// no gotd.
//
// No metric has a user ID, a room ID or a phone number in its labels, and whatever
// clients send, the number of time series is bounded.
package metrics
