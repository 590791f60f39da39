// Says that the server does not answer and what to do; look.css hides NiceGUI's own note, which does not say it.
setInterval(() => {
  const note = document.getElementById("bal-gone");
  if (note && window.socket) note.hidden = window.socket.connected;
}, 300);
