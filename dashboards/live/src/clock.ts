// The agent's clock, whatever ours shows. Unix seconds.

export class AgentClock {
  private ahead = 0;

  /** The agent's time when it made what has just come. */
  told(time: number): void {
    this.ahead = time - here();
  }

  /** It is at least so late there: a list may have been made long before it came, and a sample is newer. */
  atLeast(time: number): void {
    this.ahead = Math.max(this.ahead, time - here());
  }

  get now(): number {
    return here() + this.ahead;
  }
}

function here(): number {
  return Date.now() / 1000;
}
