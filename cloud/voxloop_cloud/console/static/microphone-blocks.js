"use strict";
// In the thread of the browser's sound: gathers the microphone's samples into blocks of 100 ms, signed 16-bit, as a
// device's pipe takes them (little-endian, like every machine that has a browser). Any message asks for the rest.

class Blocks extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(Math.round(sampleRate / 10));
    this.filled = 0;
    this.port.onmessage = () => { this.give(); this.port.postMessage(null); };
  }

  process([channels]) {
    for (const sample of channels[0] ?? []) {
      this.block[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      if (this.filled === this.block.length) this.give();
    }
    return true;
  }

  give() {
    const { buffer } = this.block.slice(0, this.filled);
    this.filled = 0;
    if (buffer.byteLength) this.port.postMessage(buffer, [buffer]);
  }
}

registerProcessor("blocks", Blocks);
