// The door between page and agent. Two rooms stand behind it: `tauri.ts` in the window, `demo.ts` in tests and in a
// plain browser. Nothing else of the page knows which.

import type { Answer, Command, ErrorCode, LocalError, Picture, Status } from './bindings';

export type Connection =
  | { state: 'connecting' }
  | { state: 'connected' }
  /** No agent answers on the local socket. */
  | { state: 'absent' }
  /** The agent is there and will not talk to this window. */
  | { state: 'refused'; code: ErrorCode };

export interface Listener {
  status(status: Status): void;
  picture(picture: Picture): void;
  connection(connection: Connection): void;
}

export interface Backend {
  /** Asks the agent; rejects with a [LocalError]. */
  request(command: Command): Promise<Answer>;
  /** Tells the present state and every later one; the function returned ends that. */
  watch(listener: Listener): Promise<() => void>;
  /** Saves into the owner's downloads and returns the path; rejects with a [LocalError]. */
  saveText(fileName: string, text: string): Promise<string>;
  /** Says that the page stands on the screen. */
  painted(): Promise<void>;
  /** The system's language as a BCP 47 tag. */
  locale(): Promise<string>;
}

/** The answer of one kind, or the failure that the agent broke its word. */
export async function ask<Kind extends Answer['answer']>(
  backend: Backend,
  command: Command,
  kind: Kind,
): Promise<Extract<Answer, { answer: Kind }>> {
  const answer = await backend.request(command);
  if (answer.answer !== kind) {
    throw { code: 'internal', detail: `${command.command} was answered by ${answer.answer}` } satisfies LocalError;
  }
  return answer as Extract<Answer, { answer: Kind }>;
}

/** Any failure as one that the page has a sentence for. */
export function localError(failure: unknown): LocalError {
  if (typeof failure === 'object' && failure !== null && 'code' in failure && 'detail' in failure) {
    return failure as LocalError;
  }
  return { code: 'internal', detail: String(failure) };
}
