//go:build race

package core_test

// mostOrders is how many orders of a play are tried: with the race detector each takes
// several times as long. What is wrong in one of the others is found without it.
const mostOrders = 250
