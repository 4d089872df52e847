/** Keys of PAX records that reader and writer both know. */

/** ACLs as text: POSIX access and default ones, and NFSv4's. star's keys, which libarchive and GNU tar write too. */
export const ACL_RECORDS: readonly string[] = ['SCHILY.acl.access', 'SCHILY.acl.default', 'SCHILY.acl.ace'];
