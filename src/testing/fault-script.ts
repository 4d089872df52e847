/** Decides which faults strike a request, and counts. */
import { RootfsError } from '../errors.js';
import type { ChangeFault, DeliveryFault, Fault, InsteadFault } from './fault.js';
import type { Route } from './registry-route.js';

const INSTEAD = new Set<string>([
  'answer',
  'retry-later',
  'html',
  'code-only',
  'schema1',
  'expire-tokens',
  'redirect',
  'hang-up',
  'silence',
] satisfies InsteadFault['do'][]);
const CHANGE = new Set<string>([
  'headers',
  'short',
  'long',
  'endless',
  'flip',
  'range',
  'paging',
] satisfies ChangeFault['do'][]);
const DELIVERY = new Set<string>(['cut', 'stall', 'drip', 'slow', 'latency'] satisfies DeliveryFault['do'][]);
const BODY = new Set<string>(['short', 'long', 'endless', 'flip', 'paging', 'cut', 'stall', 'drip', 'slow']);

/** A fault in the script. */
export interface ScriptedFault {
  /** How many requests it has struck. */
  readonly struck: number;
  /** Takes it out of the script. A second call does nothing. */
  remove(): void;
}

/** The faults that strike one request, by what they do. */
export interface Struck {
  readonly instead: InsteadFault | undefined;
  readonly changes: readonly ChangeFault[];
  readonly delivery: readonly DeliveryFault[];
}

/** What matching looks at. */
export interface StruckRequest extends Route {
  readonly method: string;
  readonly ranged: boolean;
}

interface Line {
  readonly fault: Fault;
  seen: number;
  struck: number;
}

/** The faults of a registry, in the order they were added. */
export class FaultScript {
  #lines: Line[] = [];

  /**
   * Adds a fault.
   *
   * @throws RootfsError `ERR_OPTION_INVALID` for a `do` that there is not, or counts that are no counts.
   */
  add(fault: Fault): ScriptedFault {
    if (!INSTEAD.has(fault.do) && !CHANGE.has(fault.do) && !DELIVERY.has(fault.do)) {
      throw invalid(`do: ${JSON.stringify(fault.do)} is no fault`);
    }
    for (const key of ['nth', 'times'] as const) {
      const value = fault[key] ?? 1;
      if (!(value >= 1) || (!Number.isInteger(value) && value !== Number.POSITIVE_INFINITY)) {
        throw invalid(`${key}: ${value} is no count of 1 or more`);
      }
    }
    const line: Line = { fault, seen: 0, struck: 0 };
    this.#lines.push(line);
    return {
      get struck() {
        return line.struck;
      },
      remove: () => {
        this.#lines = this.#lines.filter((other) => other !== line);
      },
    };
  }

  /** Takes all faults out. */
  clear(): void {
    this.#lines = [];
  }

  /** The faults that strike this request in this phase; each is counted. */
  strike(request: StruckRequest, beforeAuth: boolean): Struck {
    const hits: Fault[] = [];
    for (const line of this.#lines) {
      const { fault } = line;
      if ((fault.beforeAuth ?? false) !== beforeAuth || !matches(fault, request)) continue;
      line.seen += 1;
      const nth = fault.nth ?? 1;
      if (line.seen < nth || line.seen >= nth + (fault.times ?? Number.POSITIVE_INFINITY)) continue;
      line.struck += 1;
      hits.push(fault);
    }
    return {
      instead: hits.find((fault): fault is Fault & InsteadFault => INSTEAD.has(fault.do)),
      changes: hits.filter((fault): fault is Fault & ChangeFault => CHANGE.has(fault.do)),
      delivery: hits.filter((fault): fault is Fault & DeliveryFault => DELIVERY.has(fault.do)),
    };
  }
}

function matches(fault: Fault, request: StruckRequest): boolean {
  const { on } = fault;
  if (on !== 'any' && on !== request.kind && !(typeof on === 'object' && on.includes(request.kind))) return false;
  if (fault.method !== undefined && fault.method !== request.method) return false;
  if (fault.repository !== undefined && fault.repository !== request.repository) return false;
  if (fault.reference !== undefined && fault.reference !== request.reference) return false;
  if (fault.do === 'range') return request.ranged;
  return !(BODY.has(fault.do) && request.method === 'HEAD');
}

function invalid(what: string): RootfsError {
  return new RootfsError('ERR_OPTION_INVALID', `fault: ${what}; see the Fault type`);
}
