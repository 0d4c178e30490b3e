# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Which ISO it is, and where it comes from if it is not in the library.
    DOCUMENTATION = r"""
options:
  name:
    description:
      - The ISO's file name in the library. A file that has it as its display name matches when no file name does.
      - When several files match that differ, the task fails and lists their IDs.
      - Defaults to the last part of the path of O(url), less the compression suffix when O(decompress) is set.
    type: str
    aliases: [filename]
  iso_id:
    description:
      - The ISO's ID in the library, instead of O(name). Cannot be combined with O(url).
    type: str
  url:
    description:
      - Where to download the ISO from when the library does not have it.
      - The API downloads it, so it must be reachable for HostUp. It must not redirect (see O(resolve_redirects)),
        and the file must not be larger than 20 GB.
      - Credentials and a query in it are passed on. They are masked in everything that is shown, the query where it may
        hold a secret, which is a value of eight characters or more, or one whose name speaks of a key, a token or the
        like.
    type: str
  job_id:
    description:
      - The ID of a job that downloads the ISO, as a task of M(hostup.cloud.hostup_vps_iso) with C(wait=false)
        returns it. Where the ISO is not in the library yet, this job is waited for, and nothing is ordered.
      - Needed only where a task does not find the job of the one before by itself, for instance because they do not
        share a home folder, as in two AWX jobs.
      - With O(name) or O(url). It is an error when the job has failed, and when the API knows neither the job nor the
        ISO.
    type: str
    version_added: 0.2.0
  decompress:
    description:
      - How the API is to decompress the file that it downloads.
    type: str
    choices: [none, gzip, lzo, zstd, bzip2]
    default: none
  resolve_redirects:
    description:
      - Follow the redirects of O(url) from where the task runs, and have the API download from where they end.
        Most mirrors redirect, and the API does not follow.
      - The API key takes no part in it, nor do O(ca_path) and O(validate_certs). Proxies are those of the environment,
        E(HTTP_PROXY) for plain C(http). Only done when there is something to download, and once a task.
      - A redirect from https to http is an error, unless O(url) itself is http.
    type: bool
    default: false
  refresh:
    description:
      - Replace the ISO where the file at O(url) has another length than it, because it was mended under the same name.
        What kept its length is not noticed, nor what differs by less than the digits of the size that the API tells.
        A name with a version in it is better where you can choose it.
      - The ISO is unmounted here and deleted, and downloaded anew. Should that download fail, the old one is gone.
      - It is an error where another VPS has it mounted, which is only looked at when it is about to be deleted, and so
        not in check mode; where the source does not tell its length; and where it redirects without
        O(resolve_redirects).
      - The source is asked from where the task runs, as with O(resolve_redirects), and in check mode, too.
    type: bool
    default: false
    version_added: 0.2.0
  on_conflict:
    description:
      - What to do when the drive to mount on holds another ISO. V(replace) unmounts that one,
        after the new one was found or downloaded. V(fail) fails before anything is changed.
    type: str
    choices: [replace, fail]
    default: replace
"""
