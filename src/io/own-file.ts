/** Small files under names that anybody knows, in folders that may be somebody else's. */
import { constants } from 'node:fs';

const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * The flags that such a file is written with: new, or in place of what it held. Through a link that somebody planted
 * root would overwrite what that person may not; a pipe without a reader would be waited for.
 */
export const REPLACE_OWN = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK;
