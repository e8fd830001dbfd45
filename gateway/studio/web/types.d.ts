// The types that views share; nothing here is served.
import type { components } from "relay/openapi";
import type { Problem } from "./api.js";

/** The bodies of the API, by the names of its OpenAPI document. */
export type Schemas = components["schemas"];

/** One page: what it asks for, and its template. */
export interface Screen<Data> {
  title(data: Data | null, app: App): string;
  load(id: string, app: App): Promise<Data>;
  view(data: Data, app: App): unknown;
  /** Runs when the view is in the document. */
  shown?(data: Data, app: App): void;
  /** Whether it is drawn each second, for what counts down. */
  ticks?: boolean;
  /** Runs each second. */
  tick?(data: Data, app: App): void;
  /** Whether it is loaded anew while it is looked at. */
  live?: boolean | ((data: Data) => boolean);
  /** The screen whose list stands left of it on wide windows. */
  beside?: Screen<any>;
  list?(app: App): unknown;
  /** What single keys do. */
  keys?: Record<string, (data: Data, app: App) => void>;
}

/** What the page knows. `local` belongs to the screen, and ends with it. */
export interface App {
  /** Null until the person has signed in; no screen is drawn before. */
  who: Schemas["SessionBody"];
  waiting: Schemas["ApprovalsBody"] | null;
  ready: Schemas["ReadyBody"] | null;
  screen: Screen<any>;
  id: string;
  data: any;
  local: any;
  /** Of the last change. */
  refusal: Problem | null;
  /** Of the last load. */
  failure: Problem | null;
  busy: boolean;
  signedOut: boolean;
  loadedAt: number;
  live?: boolean;
  draw(): void;
  /** Do one change; it returns the words that say what was done. */
  act(change: () => Promise<string | void>): Promise<void>;
  go(path: string): void;
  show(path: string): void;
  open(): Promise<void>;
  load(kind?: string): Promise<void>;
  refresh(kind?: string): Promise<void> | void;
  /** Say something to screen readers, and show it. */
  announce(words: string): void;
}
