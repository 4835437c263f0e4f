// The pages work without this. It shows how long the session lives if its user
// does nothing, as the server says, and tells when it is over.
const countdown = document.querySelector("#countdown")
let end // when the session ends, by this device's clock

async function ask() {
  // This is no activity: the answer does not make the session live longer.
  const answer = await fetch("/session/left", { cache: "no-store" }).catch(() => null)
  if (answer?.status === 401) return over()
  if (answer?.ok) end = Date.now() + 1000 * (await answer.json()).idle
  show()
}

function show() {
  if (end === undefined) return
  const left = Math.max(0, Math.round((end - Date.now()) / 1000))
  countdown.querySelector("strong").textContent = words(left)
  countdown.classList.toggle("soon", left <= 60)
  countdown.hidden = false
}

function words(left) {
  const two = (n) => String(n).padStart(2, "0")
  const hours = Math.floor(left / 3600), minutes = Math.floor(left / 60) % 60, seconds = left % 60
  if (hours > 48) return `${Math.floor(hours / 24)} days and ${hours % 24} hours`
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`
}

function over() {
  const dialog = document.querySelector("#ended")
  if (dialog.open) return
  ticking = clearInterval(ticking)
  countdown.hidden = true
  document.body.classList.add("over") // what the page shows is not for whoever comes by now
  dialog.addEventListener("close", () => location.reload()) // Escape shows what there is to see without a session
  dialog.showModal()
}

// The server says so when the session ends, wherever that was done. Only the page that is
// looked at listens: a browser opens few connections to one host.
let events
function listen() {
  if (!ticking) return // it is over
  if (document.hidden) return void (events = events?.close())
  if (events && events.readyState !== EventSource.CLOSED) return
  events = new EventSource("/session/events")
  events.addEventListener("ended", ask) // or it goes on under another id, with the cookie that this browser has by now
  events.addEventListener("error", (e) => {
    if (e.target.readyState !== EventSource.CLOSED) return // it tries again by itself
    ask() // it was refused: the session ended before it could listen, or the storage is away
    setTimeout(listen, 5000)
  })
}

let ticking
if (countdown) {
  ticking = setInterval(() => {
    // Another tab may have been active meanwhile, so that only the server knows.
    if (end !== undefined && Date.now() >= end) ask()
    else show()
  }, 1000)
  ask()
  listen()
  document.addEventListener("visibilitychange", () => {
    listen()
    if (!document.hidden) ask()
  })
}

// A page that the browser kept and shows again may be of a session that has ended.
addEventListener("pageshow", (e) => e.persisted && location.reload())

// A screen reader tells what changes in a live region, and not what is in it when the page
// opens. So the message of the page before is put there again.
const messages = [...document.querySelectorAll("#flash .info")]
if (messages.length) setTimeout(() => (document.querySelector("#said").textContent = messages.map((m) => m.textContent).join(" ")), 200)
