/** How fast drives really are: what the model says, corrected by what was measured. */

/** Of a new measurement in the mean. */
const weight = 0.2;
const bounds = { least: 0.2, most: 5 };

export class Pace {
  /** Measured over modelled seconds of reading and locating. */
  #factor = 1;
  #mountSeconds: number;
  /** Of what was read without a model. */
  #bytes = 0;
  #seconds = 0;

  constructor(mountSeconds: number) {
    this.#mountSeconds = mountSeconds;
  }

  /** To change the volume of a drive. */
  get mountSeconds(): number {
    return this.#mountSeconds;
  }

  /** Of what the model says takes `seconds`. */
  corrected(seconds: number): number {
    return seconds * this.#factor;
  }

  /** Of what has no model; null until something was measured. */
  secondsFor(bytes: number): number | null {
    return this.#bytes > 0 && this.#seconds > 0 ? (bytes * this.#seconds) / this.#bytes : null;
  }

  mounted(seconds: number): void {
    this.#mountSeconds += weight * (seconds - this.#mountSeconds);
  }

  /** `modelled`: seconds by the model; null: there is none. */
  measured(bytes: number, seconds: number, modelled: number | null): void {
    if (modelled === null) {
      this.#bytes += bytes;
      this.#seconds += seconds;
    } else if (modelled > 0) {
      const ratio = Math.min(bounds.most, Math.max(bounds.least, seconds / modelled));
      this.#factor += weight * (ratio - this.#factor);
    }
  }
}
