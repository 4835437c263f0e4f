//go:build !race

package core_test

// mostOrders is how many orders of a play are tried.
const mostOrders = 1000
