"use strict";
// The page "Try it": the microphone's sound goes to the console over a WebSocket, and its device's events come back.

const WINDOW_S = 20, QUIETEST_DBFS = -60;
const MOST_UNSENT_BYTES = 1 << 20;  // of a slow network; beyond it sound is left out, and told
const MOST_SHOWN = 100;
const element = (id) => document.getElementById(id);
const MAYBE = "The browser did not let this page use the microphone. Allow it beside the page's address, and press Start again.";
const WHY = {
  NotAllowedError: MAYBE, SecurityError: MAYBE,
  NotFoundError: "No microphone was found. Connect one, and press Start again.",
  NotReadableError: "The microphone does not answer; another program may hold it. Close that one, and press Start again.",
  InvalidStateError: "The browser could not start its sound. Load the page again.",
};

let turn = null;     // the microphone that is open
let segments = new Map();
let levels = [];     // [until_s, dbfs] of the last WINDOW_S
let now_s = 0;

function say(text) { element("state").textContent = text; }

function complain(text) {
  element("fault").textContent = text;
  element("fault").hidden = !text;
}

function whyNot() {
  if (!window.isSecureContext) return "Browsers give a microphone only to pages from their own machine, or over https. Open this console by https (--certificate and --key), or through a tunnel to its machine: ssh -L 8080:127.0.0.1:8080 HOST, then http://127.0.0.1:8080.";
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) return "This browser gives no page a microphone; a newer one does.";
  return "";
}

class Turn {  // one press of Start, to its end
  constructor() { this.isStopping = false; this.unsent_s = 0; }

  async begin() {
    say("Waiting for the browser's leave to use the microphone …");
    const filters = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    this.stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...filters } });
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule("/static/microphone-blocks.js");
    await this.context.resume();
    if (this.isStopping) throw new DOMException("", "AbortError");
    this.stream.getTracks().forEach((track) => track.addEventListener("ended", () => {
      complain("The microphone is gone: it was taken away, or another program took it.");
      this.stop();
    }));
    say("Starting a device …");
    this.socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/try/sound`);
    this.socket.onopen = () => this.connect();
    this.socket.onmessage = (message) => this.hear(JSON.parse(message.data));
    this.socket.onclose = () => this.leave();
  }

  connect() {
    const wish = { csrf: element("microphone").dataset.csrf, rate_hz: this.context.sampleRate, keeps: element("keeps").checked };
    this.socket.send(JSON.stringify(wish));
    this.wasOpen = true;
    this.blocks = new AudioWorkletNode(this.context, "blocks", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    this.blocks.port.onmessage = ({ data }) => data === null ? this.endSound() : this.send(data);
    this.context.createMediaStreamSource(this.stream).connect(this.blocks);
    if (this.isStopping) this.blocks.port.postMessage(null);
  }

  send(block) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    if (this.socket.bufferedAmount < MOST_UNSENT_BYTES) return this.socket.send(block);
    this.unsent_s += block.byteLength / 2 / this.context.sampleRate;
    complain(`The network is too slow for sound: ${this.unsent_s.toFixed(1)} s were left out.`);
  }

  stop() {  // the sound ends; text still comes
    if (this.isStopping) return;
    this.isStopping = true;
    say("Waiting for the last text …");
    element("speak").disabled = true;
    this.blocks?.port.postMessage(null);
    setTimeout(() => this.endSound(), 1000);  // if the browser's sound stands still
  }

  endSound() {
    if (!this.socket || this.hasEnded) return;
    this.hasEnded = true;
    this.release();
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send("stop");
  }

  release() {
    this.stream?.getTracks().forEach((track) => track.stop());
    if (this.context && this.context.state !== "closed") this.context.close();
  }

  hear(event) {
    if (event.event === "over") { this.isOver = true; complain(event.message || element("fault").textContent); }
    else if (event.event === "link" && !this.isStopping) say(event.is_open ? "Listening. Speak." : `Connecting to the server: ${event.reason}`);
    else if (event.event === "notice") complain(event.message);
    else if (event.event === "dropped") complain(`The device does not keep up: ${event.dropped_s.toFixed(1)} s of sound were left out.`);
    else show(event);
  }

  leave() {
    this.release();
    if (!this.wasOpen) complain("The console let no microphone in. You may have signed out: load the page again.");
    else if (!this.isOver) complain("The console has ended the connection; it may have been stopped.");
    end();
  }
}

function show(event) {
  if (event.event === "level") {
    now_s = event.until_s;
    levels.push([now_s, event.dbfs]);
    levels = levels.filter(([at_s]) => at_s > now_s - WINDOW_S);
    element("level").textContent = `${event.dbfs.toFixed(0).replace("-", "−")} dBFS`;
    requestAnimationFrame(draw);
    return;
  }
  const segment = segments.get(event.segment) ?? { text: "" };
  segments.set(event.segment, Object.assign(segment, event));
  segment.row ??= newRow();
  const { row } = segment;
  const isFinal = event.event === "transcript" || event.event === "failed";
  const [state, look] = { started: ["being spoken", "accent"], hypothesis: ["being spoken", "accent"], ended: ["being recognised", "warn"], transcript: ["", ""], failed: ["failed", "bad"] }[event.event] ?? ["", ""];
  if (!(event.event === "hypothesis" && segment.end_s !== undefined)) {
    row.state.textContent = state;
    row.state.className = `pill ${look}`;
    row.state.hidden = !state;
  }
  row.when.textContent = `${segment.start_s?.toFixed(1) ?? "?"} – ${segment.end_s?.toFixed(1) ?? "…"} s`;
  row.text.textContent = event.message ?? segment.text;
  row.text.classList.toggle("nothing", !isFinal || !segment.text);
  if (isFinal && !segment.text && !event.message) row.text.textContent = "no words";
  if (event.event === "transcript") {
    row.facts.textContent = `${event.user_latency_ms.toFixed(0)} ms after the last sound of speech, ${event.latency_ms.toFixed(0)} ms after its end was sent; confidence ${event.confidence.toFixed(2)}; ${event.bundle}`;
    element("spoken").textContent = segment.text;
  }
}

function newRow() {
  const made = (tag, className) => Object.assign(document.createElement(tag), { className });
  const [item, head, text, facts] = [made("li", "sheet"), made("div", "row"), made("p", "said"), made("p", "soft facts")];
  const [when, state] = [made("span", "soft"), made("span", "pill")];
  head.append(when, state);
  item.append(head, text, facts);
  element("segments").prepend(item);
  element("nothing").hidden = true;
  while (element("segments").children.length > MOST_SHOWN) element("segments").lastChild.remove();
  return { when, state, text, facts };
}

function draw() {
  const canvas = element("heard"), style = getComputedStyle(canvas), scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const at = (moment_s) => width * (1 - (now_s - moment_s) / WINDOW_S);
  for (const { start_s, end_s } of segments.values()) {
    if (start_s === undefined || (end_s ?? now_s) < now_s - WINDOW_S) continue;
    pen.fillStyle = style.getPropertyValue("--accent-ground");
    pen.fillRect(at(start_s), 0, at(end_s ?? now_s) - at(start_s), height);
    pen.fillStyle = style.getPropertyValue("--accent");
    pen.fillRect(at(start_s), height - 2, at(end_s ?? now_s) - at(start_s), 2);
  }
  pen.fillStyle = style.getPropertyValue("--ink");
  let from_s = levels.length ? levels[0][0] - 0.1 : 0;
  for (const [until_s, dbfs] of levels) {
    const share = Math.max(0, 1 - dbfs / QUIETEST_DBFS);
    const tall = Math.max(1, share * (height - 6));
    pen.fillRect(at(from_s), (height - tall) / 2, Math.max(1, at(until_s) - at(from_s) - 1), tall);
    from_s = until_s;
  }
}

async function begin() {
  complain("");
  segments.forEach(({ row }) => row.state.hidden = true);
  segments = new Map();
  [levels, now_s] = [[], 0];
  element("speak").firstElementChild.textContent = "Stop";
  element("keeps").disabled = true;
  turn = new Turn();
  const mine = turn;
  try {
    await mine.begin();
  } catch (error) {
    mine.release();
    if (error.name !== "AbortError") complain(WHY[error.name] ?? `The microphone could not be opened: ${error.message}`);
    end();
  }
}

function end() {
  turn = null;
  element("speak").firstElementChild.textContent = "Start";
  element("speak").disabled = element("keeps").disabled = false;
  say("Press Start, or the space bar, and speak.");
}

if (element("microphone")) {
  element("speak").addEventListener("click", () => turn ? turn.stop() : begin());
  const missing = whyNot();
  if (missing) { complain(missing); say("No microphone on this page."); }
  else end();
  draw();
  new ResizeObserver(draw).observe(element("heard"));
}
